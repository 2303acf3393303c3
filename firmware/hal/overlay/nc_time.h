/* The timer, and the watchdog over the firmware itself. */

#ifndef NC_TIME_H
#define NC_TIME_H

#include "nc_mmio.h"

/* Longer than any single request takes that does not itself feed the watchdog. */
#define NC_WATCHDOG_MS 30000u

/* Since reset; wraps round. */
static inline uint32_t nc_time_ms(void)
{
    return NC_READ(TIMER, MILLISECONDS);
}

/* The SoC restarts unless this is called again within NC_WATCHDOG_MS. */
static inline void nc_time_feed_watchdog(void)
{
    NC_WRITE(SYSTEM, WATCHDOG, NC_WATCHDOG_MS);
}

#endif

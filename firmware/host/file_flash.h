/* A NOR flash kept in a file, of the format of norcim.emulator.flash.FileFlash: erase sets a
 * sector to 1s, programming clears bits, once a page. Host programs only. */

#ifndef NC_FILE_FLASH_H
#define NC_FILE_FLASH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct file_flash {
    FILE *file; /* NULL: in memory only */
    uint32_t n_sectors;
    uint8_t *cells;
    uint32_t *erase_counts;
    bool *programmed; /* a page */
};

/* `path` NULL: a blank flash in memory. Returns NULL, or why it cannot be used. */
const char *file_flash_open(struct file_flash *flash, const char *path, uint32_t n_sectors);
void file_flash_close(struct file_flash *flash);
uint8_t file_flash_read(struct file_flash *flash, uint32_t offset, uint8_t *bytes,
                        uint32_t n_bytes);
uint8_t file_flash_erase(struct file_flash *flash, uint32_t offset);
uint8_t file_flash_program(struct file_flash *flash, uint32_t offset, const uint8_t *bytes,
                           uint32_t n_bytes);

#endif

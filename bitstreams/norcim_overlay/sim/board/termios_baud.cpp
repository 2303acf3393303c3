#include "termios_baud.h"

#ifdef __linux__

#include <asm/ioctls.h>
#include <asm/termbits.h>

extern "C" int ioctl(int, unsigned long, ...);

namespace board {

bool make_raw(int terminal) {
  termios2 settings{};
  if (ioctl(terminal, TCGETS2, &settings) != 0) return false;
  settings.c_iflag = 0;
  settings.c_oflag = 0;
  settings.c_lflag = 0;
  settings.c_cflag = CS8 | CREAD | CLOCAL | B115200;
  settings.c_cc[VMIN] = 1;
  settings.c_cc[VTIME] = 0;
  return ioctl(terminal, TCSETS2, &settings) == 0;
}

unsigned read_baud(int terminal) {
  termios2 settings{};
  return ioctl(terminal, TCGETS2, &settings) == 0 ? settings.c_ospeed : 0;
}

}  // namespace board

#else

#include <termios.h>

namespace board {

bool make_raw(int terminal) {
  termios settings{};
  if (tcgetattr(terminal, &settings) != 0) return false;
  cfmakeraw(&settings);
  cfsetspeed(&settings, 115200);
  return tcsetattr(terminal, TCSANOW, &settings) == 0;
}

unsigned read_baud(int terminal) {
  termios settings{};
  return tcgetattr(terminal, &settings) == 0 ? static_cast<unsigned>(cfgetospeed(&settings)) : 0;
}

}  // namespace board

#endif

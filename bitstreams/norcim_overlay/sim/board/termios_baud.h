// Terminal settings; apart from the rest because Linux's headers for any baud rate exclude
// <termios.h>.
#pragma once

namespace board {

// Bytes as they are, no echo, no signals; 115200 baud. False if that fails.
bool make_raw(int terminal);

// Bits a second.
unsigned read_baud(int terminal);

}  // namespace board

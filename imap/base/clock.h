/* SPDX-License-Identifier: MIT */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

/* Milliseconds of CLOCK_MONOTONIC: for deadlines. */
int64_t clock_mono_ms(void);

/* Microseconds of the same: for rates. */
int64_t clock_mono_us(void);

/* Milliseconds of CLOCK_BOOTTIME: advances during suspend. */
int64_t clock_boot_ms(void);

/* Nanoseconds since 1970 of CLOCK_REALTIME: for file times. */
int64_t clock_wall_ns(void);

/* Milliseconds left until `deadline_ms` (monotonic), 0 when it has passed,
 * clipped to int for poll(2). */
int clock_left_ms(int64_t deadline_ms);

#endif

/* SPDX-License-Identifier: MIT */
#ifndef TEST_SCRIPTED_H
#define TEST_SCRIPTED_H

#include <stdbool.h>
#include <stdint.h>

#include "certs.h"

/*
 * An IMAP server on loopback that follows a script for one connection, in a thread.  The
 * steps, ended by NULL:
 *
 *   "S text"    sends the text and CRLF       "R text"   sends the text alone
 *   "Z n"       sends n bytes "z"             "C text"   wants exactly this line
 *   "? text"    wants a line that begins so   "B n"      wants n bytes of anything
 *   "N ms"      wants silence for so long     "E"        wants the end of the connection
 *   "T"         does a TLS handshake          "X"        cuts the connection
 *   "D"         from here on both directions are compressed
 *   "L n ms"    sends n bytes "z", 16 KB at a time, so many milliseconds apart
 *   "W text"    sends the line again and again until the client is gone, 8 s at most
 *   "P n size"  answers n commands "Ai FETCH": reads one, writes `size` bytes, its OK, and
 *               does not read while it writes
 */
struct scripted;

enum scripted_flags {
	SCRIPTED_BYTEWISE = 1,      /* sends each byte by itself */
	SCRIPTED_SMALL_BUFFERS = 2, /* 64 KB in the kernel, about */
	SCRIPTED_OLD_TLS = 4,       /* TLS 1.1 at most */
	SCRIPTED_TLS_1_2 = 8,       /* TLS 1.2 at most */
	SCRIPTED_ASKS_CERT = 16,    /* wants a certificate of the client's, whatever it is */
};

struct scripted *scripted_start(const char *const *steps, unsigned flags,
                                const struct test_cert *cert);
uint16_t scripted_port(const struct scripted *s);

/* Waits for the script's end; the test fails when it was not followed to its end. */
void scripted_finish(struct scripted **s);

/* The same without caring how far it came. */
void scripted_abandon(struct scripted **s);

#endif

/* SPDX-License-Identifier: MIT */
#ifndef TEXT_H
#define TEXT_H

/* Makes `s` something that may be shown: control characters and what is no UTF-8 become '?', byte by
 * byte. */
void text_clean(char *s);

#endif

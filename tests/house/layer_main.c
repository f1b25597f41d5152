/* SPDX-License-Identifier: MIT */

/* Weak, because the command line's library may bring its own. */
int main(void) __attribute__((weak));

int main(void)
{
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* A configuration file: read whole for an account, or refused with a reason that one line holds. */
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli_config.h"
#include "cli_options.h"
#include "fuzz.h"

static void read_for(const char *path, const char *account)
{
	struct err_reason why = { "" };
	struct cli_options o;
	int r;

	cli_options_init(&o);
	r = cli_config_read(path, account, &o, &why);
	must(r <= 1);
	must(r >= 0 || why.text[0] != '\0');
	for (const char *p = why.text; *p != '\0'; p++)
		must((unsigned char)*p >= 0x20 && *p != 0x7f);
	if (r >= 0)
		(void)cli_options_finish(&o, &why);
	cli_options_release(&o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("config", MFD_CLOEXEC);
	char path[64];

	must(fd >= 0 && fchmod(fd, 0600) == 0);
	must(size == 0 || write(fd, data, size) == (ssize_t)size);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	read_for(path, "work");
	read_for(path, NULL);
	close(fd);
	return 0;
}

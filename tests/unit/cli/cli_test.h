/* SPDX-License-Identifier: MIT */
#ifndef CLI_TEST_H
#define CLI_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define FILE_DESCRIPTORS 16

static inline int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

/* Set-up and tear-down of tests that get a directory of their own as *state. */
static inline int make_place(void **state)
{
	char *dir = strdup("/tmp/imapfs-cli-test-XXXXXX");

	*state = mkdtemp(dir);
	return *state != NULL ? 0 : -1;
}

static inline int remove_place(void **state)
{
	(void)nftw(*state, remove_one, FILE_DESCRIPTORS, FTW_DEPTH | FTW_PHYS);
	free(*state);
	return 0;
}

/* Writes a file below the place; the path is the caller's. */
static inline char *write_file(void **state, const char *name, const void *data, size_t len,
                               mode_t mode)
{
	char *path = NULL;
	FILE *f;

	assert_true(asprintf(&path, "%s/%s", (const char *)*state, name) > 0);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
	return path;
}

#define place_test(f) cmocka_unit_test_setup_teardown(f, make_place, remove_place)

#endif

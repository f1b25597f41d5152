/* SPDX-License-Identifier: MIT */
#ifndef CLI_MAIN_H
#define CLI_MAIN_H

/* The program, without its main(): chooses between the commands and mounting. */
int cli_main(int argc, char *argv[]);

#endif

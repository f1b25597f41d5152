/* placeholder */ extern int sync_placeholder; int sync_placeholder;

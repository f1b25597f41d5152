/* placeholder */ extern int mount_placeholder; int mount_placeholder;

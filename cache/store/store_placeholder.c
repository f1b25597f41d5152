/* placeholder */ extern int store_placeholder; int store_placeholder;

/* placeholder */ extern int base_placeholder; int base_placeholder;

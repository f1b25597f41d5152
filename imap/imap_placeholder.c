/* placeholder */ extern int imap_placeholder; int imap_placeholder;

/* SPDX-License-Identifier: MIT */
#include "mount_priv.h"

#include "mem.h"

int mount_path(struct mount *m, struct store *s, int64_t id, char **out)
{
	_cleanup_free_ char *inside = NULL;
	int r = m->maildir ? mount_maildir_path(m, s, id, &inside)
	                   : store_node_path(s, id, &inside);

	if (r == 0)
		*out = mem_printf("%s/%s", m->cfg.mountpoint, inside);
	return r;
}

/* SPDX-License-Identifier: MIT */
#include "mount_priv.h"

#include <errno.h>

/* The one table of what a program sees for each of our errors. */
int mount_errno(int err)
{
	if (err >= 0)
		return 0;
	switch ((enum err)err) {
	case ERR_OK:
		return 0;
	case ERR_IO:
	case ERR_PROTO:
		return EIO;
	case ERR_LIMIT:
	case ERR_TOOBIG:
		return EFBIG;
	case ERR_OFFLINE:
		return ENETUNREACH;
	case ERR_AUTH:
	case ERR_TLS:
	case ERR_ACCESS:
		return EACCES;
	case ERR_NOTFOUND:
		return ENOENT;
	case ERR_EXISTS:
		return EEXIST;
	case ERR_PERM:
		return EPERM;
	case ERR_QUOTA:
		return EDQUOT;
	case ERR_CONFLICT:
		return ESTALE;
	case ERR_REFUSED:
		return EREMOTEIO;
	case ERR_TIMEOUT:
		return ETIMEDOUT;
	case ERR_NOSPACE:
		return ENOSPC;
	case ERR_INVAL:
		return EINVAL;
	case ERR_NOTEMPTY:
		return ENOTEMPTY;
	case ERR_BUSY:
	case ERR_LOCKED:
		return EBUSY;
	case ERR_READONLY:
		return EROFS;
	case ERR_CANCELED:
		return EINTR;
	case ERR_VERSION:
		return ENOTSUP;
	case ERR_BLOCKED:
		return ECANCELED;
	}
	return EIO;
}

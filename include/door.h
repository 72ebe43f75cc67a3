/*
 * Doors: calls of procedures in other processes through descriptors, after the Solaris interface, on Linux.
 *
 * What differs from the original, and cannot be otherwise on Linux:
 *
 *  - open(2) cannot open a door at a path: door_open() does. fattach() keeps the file that it covers as ".NAME.door-covers"
 *    beside it until fdetach().
 *  - DOOR_UNREF and DOOR_UNREF_MULTI count a descriptor and its copies made by dup, fork or sendmsg as one. Descriptors
 *    passed through doors without DOOR_RELEASE, and those of door_open, count each for itself.
 *  - Arguments and results are bounded to 1 GiB (E2BIG) instead of a server thread's stack.
 *  - Instead of door_ucred there is door_cred: effective and real ids and the process, as the kernel has them.
 *  - EFAULT is reported for bad data and result memory; a bad structure is the caller's own fault, as in libc, and so is memory
 *    that another thread takes away during the call.
 */
#ifndef STMF_DOOR_H
#define STMF_DOOR_H

#include <sys/types.h>
#include <sys/door.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A server procedure: cookie, argument bytes, descriptors. It ends with door_return; one that returns ends its thread, and the
 * caller gets EINTR. The arguments are valid until door_return; the descriptors are the procedure's.
 */
typedef void door_server_procedure_t(void *cookie, char *data, size_t size, door_desc_t *descriptors, unsigned int count);

/* Makes one server thread, for the private door described or, with NULL, for all others. The thread calls door_return. */
typedef void door_server_func_t(door_info_t *info);

/* Makes one server thread that runs start(argument). 1: made; 0: none for now; -1: failed. */
typedef int door_xcreate_server_func_t(door_info_t *info, void *(*start)(void *), void *argument, void *cookie);

/* Runs first in each thread of a door of door_xcreate. */
typedef void door_xcreate_thrsetup_func_t(void *cookie);

int door_create(door_server_procedure_t *procedure, void *cookie, unsigned int attributes);
int door_xcreate(door_server_procedure_t *procedure, void *cookie, unsigned int attributes,
    door_xcreate_server_func_t *create, door_xcreate_thrsetup_func_t *setup, void *create_cookie, int threads);
int door_revoke(int door);
int door_call(int door, door_arg_t *params);
int door_return(char *data, size_t size, door_desc_t *descriptors, unsigned int count);
int door_info(int door, door_info_t *info);
int door_cred(door_cred_t *cred);
int door_bind(int door);
int door_unbind(void);
int door_getparam(int door, int param, size_t *value);
int door_setparam(int door, int param, size_t value);
door_server_func_t *door_server_create(door_server_func_t *create);

/* Attaches a door to a file, and undoes it. On Solaris these two are in <stropts.h>. */
int fattach(int door, const char *path);
int fdetach(const char *path);

/* Linux only: opens the door at a path. Of the flags O_CLOEXEC counts. */
int door_open(const char *path, int flags);

#ifdef __cplusplus
}
#endif

#endif

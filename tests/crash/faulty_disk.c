/*
 * Preloaded into stmfd: changes of files under $FAULTY_DIRECTORY fail as the file $FAULTY_CONTROL says, which a test
 * changes while stmfd runs. It holds five native ints: the error number (0: nothing fails), how many changes still
 * succeed, how many then fail, how many have failed; the error number of reads, of which all or none fail.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

struct control {
	int error;
	int passes;
	int limit;
	int failures;
	int reads;
};

static struct control *control;
static const char *directory;

__attribute__((constructor)) static void
begin(void)
{
	const char *path = getenv("FAULTY_CONTROL");
	int fd;

	directory = getenv("FAULTY_DIRECTORY");
	if (path == NULL || directory == NULL || (fd = open(path, O_RDWR | O_CLOEXEC)) < 0)
		abort();
	control = mmap(NULL, sizeof (*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (control == MAP_FAILED)
		abort();
	(void) close(fd);
}

/* True when the file is under the directory. */
static int
concerned(int fd)
{
	char link[64], path[4096];
	ssize_t length;

	(void) snprintf(link, sizeof (link), "/proc/self/fd/%d", fd);
	length = readlink(link, path, sizeof (path));
	return (length >= (ssize_t)strlen(directory) && strncmp(path, directory, strlen(directory)) == 0);
}

/* True when this read of the file is to fail; errno says why. */
static int
read_fails(int fd)
{
	int error = __atomic_load_n(&control->reads, __ATOMIC_SEQ_CST);

	if (error == 0 || !concerned(fd))
		return (0);
	errno = error;
	return (1);
}

/* True when this change of the file is to fail; errno says why. */
static int
fails(int fd)
{
	int error = __atomic_load_n(&control->error, __ATOMIC_SEQ_CST);

	if (error == 0 || !concerned(fd))
		return (0);
	if (__atomic_fetch_sub(&control->passes, 1, __ATOMIC_SEQ_CST) > 0)
		return (0);
	if (__atomic_fetch_sub(&control->limit, 1, __ATOMIC_SEQ_CST) <= 0)
		return (0);
	(void) __atomic_fetch_add(&control->failures, 1, __ATOMIC_SEQ_CST);
	errno = error;
	return (1);
}

#define WRAP(fails, result, name, parameters, arguments)			\
	result name parameters							\
	{									\
		static result (*next) parameters;				\
		if (fails(fd))							\
			return (-1);						\
		if (next == NULL)						\
			*(void **)&next = dlsym(RTLD_NEXT, #name);		\
		return (next arguments);					\
	}

WRAP(fails, ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size))
WRAP(fails, ssize_t, pwrite, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at))
WRAP(fails, ssize_t, pwrite64, (int fd, const void *data, size_t size, off64_t at), (fd, data, size, at))
WRAP(fails, int, ftruncate, (int fd, off_t size), (fd, size))
WRAP(fails, int, ftruncate64, (int fd, off64_t size), (fd, size))
WRAP(fails, int, fsync, (int fd), (fd))
WRAP(fails, int, fdatasync, (int fd), (fd))
WRAP(fails, ssize_t, pwritev2, (int fd, const struct iovec *v, int n, off_t at, int flags), (fd, v, n, at, flags))
WRAP(fails, ssize_t, pwritev64v2, (int fd, const struct iovec *v, int n, off64_t at, int flags), (fd, v, n, at, flags))
WRAP(read_fails, ssize_t, pread, (int fd, void *data, size_t size, off_t at), (fd, data, size, at))
WRAP(read_fails, ssize_t, pread64, (int fd, void *data, size_t size, off64_t at), (fd, data, size, at))
WRAP(read_fails, ssize_t, preadv2, (int fd, const struct iovec *v, int n, off_t at, int flags), (fd, v, n, at, flags))
WRAP(read_fails, ssize_t, preadv64v2, (int fd, const struct iovec *v, int n, off64_t at, int flags), (fd, v, n, at, flags))

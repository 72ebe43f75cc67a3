/*
 * Preloaded under stmfproxy: from the first large message of its door on (a WRITE that is forwarded) no message leaves it
 * through a Unix socket any more, so the call is never answered; what goes to the peer is let through, and once the large
 * message has been written there the file DOOR_HELD_MARK appears. Then the daemon can be killed with the call in its hands.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { LARGE = 4096 };

static atomic_int held;

static int is(int fd, int wanted)
{
	int domain = 0;
	socklen_t length = sizeof(domain);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && domain == wanted;
}

static ssize_t written(int fd, ssize_t length)
{
	const char *mark = getenv("DOOR_HELD_MARK");

	if (length >= LARGE && mark != NULL && atomic_load(&held) && is(fd, AF_INET)) {
		int file = open(mark, O_CREAT | O_WRONLY, 0600);

		if (file >= 0)
			close(file);
	}
	return length;
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	ssize_t (*real)(int, struct msghdr *, int) = (ssize_t(*)(int, struct msghdr *, int))dlsym(RTLD_NEXT, "recvmsg");
	ssize_t length = real(fd, message, flags);

	if (length >= LARGE && is(fd, AF_UNIX))
		atomic_store(&held, 1);
	return length;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	ssize_t (*real)(int, const struct msghdr *, int) =
		(ssize_t(*)(int, const struct msghdr *, int))dlsym(RTLD_NEXT, "sendmsg");

	while (atomic_load(&held) && is(fd, AF_UNIX))
		pause();
	return written(fd, real(fd, message, flags));
}

ssize_t writev(int fd, const struct iovec *vector, int count)
{
	ssize_t (*real)(int, const struct iovec *, int) =
		(ssize_t(*)(int, const struct iovec *, int))dlsym(RTLD_NEXT, "writev");

	return written(fd, real(fd, vector, count));
}

ssize_t send(int fd, const void *data, size_t length, int flags)
{
	ssize_t (*real)(int, const void *, size_t, int) =
		(ssize_t(*)(int, const void *, size_t, int))dlsym(RTLD_NEXT, "send");

	return written(fd, real(fd, data, length, flags));
}

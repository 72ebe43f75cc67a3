/*
 * The contract of the doors, row by row, through the C interface and between real processes.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <door.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(what) \
	do { \
		if (!(what)) { \
			fprintf(stderr, "%s:%d: not so: %s (errno %d, %s)\n", __FILE__, __LINE__, #what, errno, strerror(errno)); \
			exit(1); \
		} \
	} while (0)
#define FAILS(call, error) \
	do { \
		errno = 0; \
		CHECK((call) == -1); \
		CHECK(errno == (error)); \
		seen(#call, #error); \
	} while (0)

/* Notes, for the table of tested statuses, that a function has failed with this error. */
static void seen(const char *call, const char *error)
{
	const char *path = getenv("STMF_COVERAGE"), *door = strncmp(call, "call(", 5) == 0 ? "door_" : "";
	FILE *file;

	if (path == NULL || (file = fopen(path, "a")) == NULL)
		return;
	fprintf(file, "%s%.*s %s\n", door, (int)strcspn(call, "("), call, error);
	fclose(file);
}

/* ---- Pages of which the middle one is not to be touched ---- */

#define PAGES ((size_t)5)
static size_t page;
static char *hole; /* the middle page */

/* The pages anew, with this protection of the middle one. */
static char *holed(int protection)
{
	static char *pages;

	page = (size_t)sysconf(_SC_PAGESIZE);
	if (pages == NULL) {
		pages = mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK(pages != MAP_FAILED);
		hole = pages + PAGES / 2 * page;
	}
	CHECK(mprotect(hole, page, PROT_READ | PROT_WRITE) == 0);
	memset(pages, 'e', PAGES * page);
	CHECK(mprotect(hole, page, protection) == 0);
	return hole;
}

/* ---- A server procedure that does what its first byte says ---- */

static volatile int in_procedure;
static volatile int unreferenced;
static volatile int cancelled;
static pthread_barrier_t meeting;
static int gate[2]; /* a byte lets a procedure that waits go on */

static void note_cancel(void *argument)
{
	(void)argument;
	cancelled = 1;
}

static void wait_at_gate(void)
{
	char byte;

	in_procedure = 1;
	while (read(gate[0], &byte, 1) != 1)
		;
	in_procedure = 0;
}

static void serve(void *cookie, char *data, size_t size, door_desc_t *descriptors, unsigned int count)
{
	char *big;
	door_desc_t answer[3];
	door_cred_t cred;
	door_info_t info;
	size_t wanted;
	sigset_t mask;
	int number;

	if (data == DOOR_UNREF_DATA) {
		CHECK(size == 0 && descriptors == NULL && count == 0);
		unreferenced++;
		door_return(NULL, 0, NULL, 0);
		CHECK(!"door_return came back");
	}
	CHECK((data == NULL) == (size == 0));
	CHECK((descriptors == NULL) == (count == 0));
	switch (data == NULL ? 'z' : data[0]) {
	case 'c': /* the cookie */
		door_return((char *)&cookie, sizeof cookie, NULL, 0);
		break;
	case 'e': /* the arguments back, descriptors too, closed here */
		for (unsigned int i = 0; i < count; i++)
			descriptors[i].d_attributes = DOOR_DESCRIPTOR | DOOR_RELEASE;
		door_return(data, size, descriptors, count);
		break;
	case 'b': /* as many bytes as told */
		memcpy(&wanted, data + 1, sizeof wanted);
		big = malloc(wanted);
		CHECK(big != NULL);
		memset(big, 'B', wanted);
		/* The block is lost: door_return does not come back. */
		door_return(big, wanted, NULL, 0);
		break;
	case 'i': /* who calls */
		CHECK(door_cred(&cred) == 0);
		FAILS(door_cred(NULL), EFAULT);
		door_return((char *)&cred, sizeof cred, NULL, 0);
		break;
	case 'q': /* the door this thread is bound to */
		memset(&info, 0, sizeof info);
		if (door_info(DOOR_QUERY, &info) != 0)
			info.di_target = errno;
		door_return((char *)&info, sizeof info, NULL, 0);
		break;
	case 'r': /* returns without door_return */
		return;
	case 'x':
		pthread_exit(NULL);
	case 'w':
		wait_at_gate();
		door_return(data, 1, NULL, 0);
		break;
	case 'p': /* waits until it is cancelled */
		pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
		pthread_cleanup_push(note_cancel, NULL);
		in_procedure = 1;
		for (;;)
			pause();
		pthread_cleanup_pop(0);
		break;
	case 'm': /* meets the others that are in the procedure */
		pthread_barrier_wait(&meeting);
		door_return(data, 1, NULL, 0);
		break;
	case 's': /* the signal mask */
		CHECK(pthread_sigmask(SIG_BLOCK, NULL, &mask) == 0);
		door_return((char *)&mask, sizeof mask, NULL, 0);
		break;
	case 'k':
		kill(getpid(), SIGKILL);
		break;
	case 'f': /* a child lives on when the server is killed */
		if (fork() == 0) {
			sleep(3);
			_exit(0);
		}
		kill(getpid(), SIGKILL);
		break;
	case 'd': /* wrong descriptors first: door_return comes back */
		memset(answer, 0, sizeof answer);
		answer[0].d_attributes = DOOR_DESCRIPTOR;
		answer[0].d_data.d_desc.d_descriptor = 9999;
		FAILS(door_return(NULL, 0, answer, 1), EINVAL);
		answer[0].d_attributes = 0;
		answer[0].d_data.d_desc.d_descriptor = 0;
		FAILS(door_return(NULL, 0, answer, 1), EINVAL);
		FAILS(door_return(NULL, 0, NULL, 1), EFAULT);
		FAILS(door_return(NULL, 5, NULL, 0), EFAULT);
		FAILS(door_return((char *)16, 5, NULL, 0), EFAULT);
		FAILS(door_return(holed(PROT_NONE) + 10, (size_t)2, NULL, 0), EFAULT);
		FAILS(door_return(hole - 20, 100, NULL, 0), EFAULT);
		FAILS(door_return(hole - 20, PAGES * page, NULL, 0), EFAULT);
		FAILS(door_return(data, 1, (door_desc_t *)(void *)data, 1025), E2BIG);
		number = open("/dev/null", O_RDONLY | O_CLOEXEC);
		CHECK(number >= 0);
		answer[0].d_attributes = DOOR_DESCRIPTOR | DOOR_RELEASE;
		answer[0].d_data.d_desc.d_descriptor = number;
		door_return("done", 5, answer, 1);
		break;
	case 'z': /* no data came */
	default:
		door_return(NULL, 0, NULL, 0);
		break;
	}
	fprintf(stderr, "door_return came back: %s\n", strerror(errno));
	abort();
}

/* A procedure whose caller takes no results. */
static volatile int refused_results;
static void serve_no_results(void *cookie, char *data, size_t size, door_desc_t *descriptors, unsigned int count)
{
	(void)cookie;
	(void)data;
	(void)size;
	(void)descriptors;
	(void)count;
	errno = 0;
	door_return("x", 1, NULL, 0);
	refused_results = errno;
	door_return(NULL, 0, NULL, 0);
}

/* ---- Helpers ---- */

static int call(int door, const char *data, size_t size, char *room, size_t room_size, door_arg_t *out)
{
	door_arg_t local;
	door_arg_t *arg = out != NULL ? out : &local;

	memset(arg, 0, sizeof *arg);
	arg->data_ptr = (char *)(uintptr_t)data;
	arg->data_size = size;
	arg->rbuf = room;
	arg->rsize = room_size;
	return door_call(door, arg);
}

static void until(volatile int *what, int value)
{
	for (int i = 0; i < 2000 && *what != value; i++)
		usleep(5000);
	CHECK(*what == value);
}

static int open_descriptors(void)
{
	int count = 0;

	for (int i = 0; i < 4096; i++)
		count += fcntl(i, F_GETFD) != -1;
	return count;
}

/* What earlier calls and doors left behind is closed by other threads, a little later. */
static int descriptors_now(void)
{
	int least = open_descriptors();

	for (int same = 0; same < 20; same++) {
		int now;

		usleep(5000);
		now = open_descriptors();
		if (now < least)
			same = 0;
		least = now < least ? now : least;
	}
	return least;
}

/* Not one more than expected stays open; fewer, if at the time of the expectation something old was still open. */
static void settled(int expected)
{
	for (int i = 0; i < 2000 && open_descriptors() > expected; i++)
		usleep(5000);
	CHECK(open_descriptors() <= expected);
}

/* A call on a new door makes the thread close its channels to doors that have ended. One, to this door, stays. */
static int descriptors_at_rest(void)
{
	int door = door_create(serve, NULL, 0);

	CHECK(door_call(door, NULL) == 0);
	CHECK(door_revoke(door) == 0);
	return open_descriptors();
}

static void ends_well(pid_t child)
{
	int status;

	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* A child that serves doors made by `make`, which gives the descriptors through `socket`. */
static int send_descriptor(int socket, int descriptor)
{
	char byte = 'd';
	char control[CMSG_SPACE(sizeof descriptor)];
	struct iovec part = { &byte, 1 };
	struct msghdr message;
	struct cmsghdr *head;

	memset(&message, 0, sizeof message);
	memset(control, 0, sizeof control);
	message.msg_iov = &part;
	message.msg_iovlen = 1;
	message.msg_control = control;
	message.msg_controllen = sizeof control;
	head = CMSG_FIRSTHDR(&message);
	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof descriptor);
	memcpy(CMSG_DATA(head), &descriptor, sizeof descriptor);
	return sendmsg(socket, &message, 0) == 1 ? 0 : -1;
}

static int receive_descriptor(int socket)
{
	char byte;
	char control[CMSG_SPACE(sizeof(int))];
	struct iovec part = { &byte, 1 };
	struct msghdr message;
	int descriptor;

	memset(&message, 0, sizeof message);
	message.msg_iov = &part;
	message.msg_iovlen = 1;
	message.msg_control = control;
	message.msg_controllen = sizeof control;
	CHECK(recvmsg(socket, &message, MSG_CMSG_CLOEXEC) == 1);
	CHECK(CMSG_FIRSTHDR(&message) != NULL);
	memcpy(&descriptor, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof descriptor);
	return descriptor;
}

static pid_t server_process(unsigned int attributes, int *door)
{
	int ends[2];
	pid_t child;

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		int made = door_create(serve, (void *)4711, attributes);

		CHECK(made >= 0);
		close(ends[0]);
		CHECK(send_descriptor(ends[1], made) == 0);
		for (;;)
			pause();
	}
	close(ends[1]);
	*door = receive_descriptor(ends[0]);
	close(ends[0]);
	return child;
}

static void reap(pid_t child)
{
	kill(child, SIGKILL);
	CHECK(waitpid(child, NULL, 0) == child);
}

/* ---- The rows ---- */

static void creation(void)
{
	static const unsigned int bad[] = { DOOR_LOCAL, DOOR_REVOKED, DOOR_IS_UNREF, DOOR_NO_DEPLETION_CB, DOOR_PRIVCREATE,
		DOOR_DEPLETION_CB, 0x800, DOOR_UNREF | DOOR_UNREF_MULTI };
	static const unsigned int good[] = { 0, DOOR_UNREF, DOOR_UNREF_MULTI, DOOR_PRIVATE, DOOR_REFUSE_DESC, DOOR_NO_CANCEL,
		DOOR_UNREF | DOOR_PRIVATE | DOOR_REFUSE_DESC | DOOR_NO_CANCEL };
	char *cookie = NULL;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		FAILS(door_create(serve, NULL, bad[i]), EINVAL);
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		int door = door_create(serve, (void *)4711, good[i]);

		CHECK(door >= 0);
		CHECK(fcntl(door, F_GETFD) == FD_CLOEXEC);
		CHECK(call(door, "c", 1, (char *)&cookie, sizeof cookie, NULL) == 0);
		CHECK(cookie == (char *)4711);
		CHECK(door_revoke(door) == 0);
		CHECK(fcntl(door, F_GETFD) == -1);
	}
	FAILS(door_create(NULL, NULL, 0), EINVAL);
}

static void arguments_and_results(void)
{
	int door = door_create(serve, NULL, 0);
	char room[4096];
	char same[64];
	static door_desc_t many[1025];
	door_arg_t arg;

	CHECK(door >= 0);
	/* Results in the room; out values. */
	CHECK(call(door, "echo", 5, room, sizeof room, &arg) == 0);
	CHECK(arg.data_ptr == room && arg.rbuf == room && arg.rsize == sizeof room);
	CHECK(arg.data_size == 5 && arg.desc_num == 0 && strcmp(room, "echo") == 0);
	/* Argument and result memory may be the same. */
	strcpy(same, "exactly so");
	CHECK(call(door, same, 11, same, sizeof same, &arg) == 0);
	CHECK(arg.data_size == 11 && strcmp(same, "exactly so") == 0);
	/* No data at all. */
	CHECK(call(door, NULL, 0, room, sizeof room, &arg) == 0);
	CHECK(arg.data_ptr == NULL && arg.data_size == 0 && arg.desc_num == 0);
	CHECK(door_call(door, NULL) == 0);
	/* On error nothing is written back. */
	memset(&arg, 0, sizeof arg);
	arg.data_ptr = "r";
	arg.data_size = 1;
	arg.rbuf = room;
	arg.rsize = 77;
	FAILS(door_call(door, &arg), EINTR);
	CHECK(arg.data_size == 1 && arg.rbuf == room && arg.rsize == 77);
	/* Bad memory. */
	FAILS(call(door, NULL, 1, room, sizeof room, NULL), EFAULT);
	FAILS(call(door, (char *)16, 100, room, sizeof room, NULL), EFAULT);
	FAILS(call(door, "e", 1, NULL, 10, NULL), EFAULT);
	FAILS(call(door, room, ((size_t)1 << 30) + 1, NULL, 0, NULL), E2BIG);
	arg.desc_ptr = many;
	arg.desc_num = sizeof many / sizeof *many;
	FAILS(door_call(door, &arg), E2BIG);
	CHECK(door_revoke(door) == 0);
	/* The results of a caller that takes none come back to the server. */
	door = door_create(serve_no_results, NULL, 0);
	CHECK(door_call(door, NULL) == 0);
	CHECK(refused_results == E2BIG);
	seen("door_return", "E2BIG");
	CHECK(door_revoke(door) == 0);
}

/* Bad pages in the middle, at the end and at the beginning of arguments and results, of each size. */
static void bad_pages(void)
{
	static const size_t sizes[] = { 1, 3, 4, 11, 12, 64, 4096, 5000, 10000 };
	static const int protections[] = { PROT_NONE, PROT_READ };
	char *room = malloc(PAGES * (size_t)sysconf(_SC_PAGESIZE));
	int door = door_create(serve, NULL, 0);
	char *beyond;
	door_arg_t arg;
	int file;

	CHECK(door >= 0 && room != NULL);
	for (size_t i = 0; i < sizeof protections / sizeof *protections; i++)
		for (size_t j = 0; j < sizeof sizes / sizeof *sizes; j++)
			for (size_t inside = 1; inside <= sizes[j]; inside += inside < 16 ? 1 : 997) {
				char *bytes = holed(protections[i]) + inside - sizes[j];
				int readable = protections[i] == PROT_READ;

				if (sizes[j] - inside > PAGES / 2 * page)
					continue;
				/* The last `inside` bytes are in the page. */
				if (readable)
					CHECK(call(door, bytes, sizes[j], room, sizes[j], &arg) == 0 && memcmp(bytes, room, sizes[j]) == 0);
				else
					FAILS(call(door, bytes, sizes[j], room, sizes[j], &arg), EFAULT);
				memset(room, 'e', sizes[j]);
				FAILS(call(door, room, sizes[j], bytes, sizes[j], &arg), EFAULT);
				CHECK(arg.data_ptr == room && arg.rbuf == bytes);
				/* Nobody minds what is not used. */
				CHECK(call(door, room, sizes[j], room, sizes[j], &arg) == 0 && arg.data_size == sizes[j]);
				if (sizes[j] > inside)
					CHECK(call(door, room, sizes[j] - inside, bytes, sizes[j], &arg) == 0);
			}
	/* The pages at the beginning, and those that are not there at all: behind the end of a file, unmapped. */
	holed(PROT_NONE);
	FAILS(call(door, hole + page - 5, 64, room, 64, &arg), EFAULT);
	memset(room, 'e', 2 * page);
	FAILS(call(door, room, 2 * page, hole, 2 * page, &arg), EFAULT);
	file = memfd_create("pages", MFD_CLOEXEC);
	CHECK(file >= 0 && ftruncate(file, (off_t)page) == 0);
	beyond = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	CHECK(beyond != MAP_FAILED && close(file) == 0);
	memset(beyond, 'e', page);
	for (int turn = 0; turn < 2; turn++) {
		CHECK(call(door, beyond, page, room, page, &arg) == 0);
		FAILS(call(door, beyond + page - 64, 128, room, 128, &arg), EFAULT);
		FAILS(call(door, beyond, 3 * page, room, 3 * page, &arg), EFAULT);
		FAILS(call(door, room, 128, beyond + page - 64, 128, &arg), EFAULT);
		FAILS(call(door, room, page, beyond + page, page, &arg), EFAULT);
		CHECK(turn > 0 || munmap(beyond + page, 2 * page) == 0);
	}
	CHECK(munmap(beyond, page) == 0);
	free(room);
	CHECK(door_revoke(door) == 0);
}

static void big_results(void)
{
	static const size_t sizes[] = { 1, 100, 4096, 4097, 131072, 196608, 196609, 1048576, 5000001 };
	static const size_t rooms[] = { 0, 1, 64, 4096, 200000, 6000000 };
	char request[1 + sizeof(size_t)] = "b";
	int door = door_create(serve, NULL, 0);
	long page = sysconf(_SC_PAGESIZE);

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
		for (size_t j = 0; j < sizeof rooms / sizeof *rooms; j++) {
			char *room = rooms[j] == 0 ? NULL : malloc(rooms[j]);
			door_arg_t arg;

			memcpy(request + 1, &sizes[i], sizeof sizes[i]);
			CHECK(call(door, request, sizeof request, room, rooms[j], &arg) == 0);
			CHECK(arg.data_size == sizes[i] && arg.data_ptr == arg.rbuf);
			for (size_t k = 0; k < sizes[i]; k++)
				CHECK(arg.data_ptr[k] == 'B');
			if (sizes[i] <= rooms[j]) {
				CHECK(arg.rbuf == room && arg.rsize == rooms[j]);
			} else {
				CHECK(arg.rbuf != room);
				CHECK(arg.rsize >= sizes[i] && arg.rsize % (size_t)page == 0);
				CHECK(arg.rsize - sizes[i] < (size_t)page);
				CHECK(munmap(arg.rbuf, arg.rsize) == 0);
			}
			free(room);
		}
	CHECK(door_revoke(door) == 0);
}

static void descriptors(void)
{
	int door = door_create(serve, NULL, 0);
	int refusing = door_create(serve, NULL, DOOR_REFUSE_DESC);
	char room[8192];
	door_desc_t passed[300];
	door_arg_t arg;
	int file = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	int before;

	CHECK(door >= 0 && refusing >= 0 && file >= 0);
	CHECK(door_call(door, NULL) == 0 && door_call(refusing, NULL) == 0);
	before = descriptors_now();
	for (unsigned int count = 1; count <= 300; count += count < 3 ? 1 : 99) {
		for (int release = 0; release < 2; release++) {
			memset(passed, 0, sizeof passed);
			for (unsigned int i = 0; i < count; i++) {
				passed[i].d_attributes = DOOR_DESCRIPTOR | (release ? DOOR_RELEASE : 0);
				passed[i].d_data.d_desc.d_descriptor = release ? dup(file) : file;
			}
			memset(&arg, 0, sizeof arg);
			arg.data_ptr = "ec";
			arg.data_size = 2;
			arg.desc_ptr = passed;
			arg.desc_num = count;
			arg.rbuf = room;
			arg.rsize = sizeof room;
			CHECK(door_call(door, &arg) == 0);
			CHECK(arg.desc_num == count && arg.data_size == 2);
			CHECK(arg.desc_ptr == (door_desc_t *)(void *)(room + sizeof(door_desc_t)));
			for (unsigned int i = 0; i < count; i++) {
				char byte = 1;

				CHECK(arg.desc_ptr[i].d_attributes == DOOR_DESCRIPTOR);
				CHECK(fcntl(arg.desc_ptr[i].d_data.d_desc.d_descriptor, F_GETFD) == FD_CLOEXEC);
				CHECK(read(arg.desc_ptr[i].d_data.d_desc.d_descriptor, &byte, 1) == 1 && byte == 0);
				CHECK(close(arg.desc_ptr[i].d_data.d_desc.d_descriptor) == 0);
			}
			settled(before);
		}
	}
	/* A door among the descriptors is told as such. */
	memset(&arg, 0, sizeof arg);
	passed[0].d_attributes = DOOR_DESCRIPTOR;
	passed[0].d_data.d_desc.d_descriptor = refusing;
	arg.data_ptr = "e";
	arg.data_size = 1;
	arg.desc_ptr = passed;
	arg.desc_num = 1;
	CHECK(door_call(door, &arg) == 0);
	CHECK(arg.desc_num == 1 && arg.rsize > 0);
	CHECK(arg.desc_ptr->d_attributes == (DOOR_DESCRIPTOR | DOOR_REFUSE_DESC | DOOR_LOCAL));
	CHECK(arg.desc_ptr->d_data.d_desc.d_id != 0);
	CHECK(door_call(arg.desc_ptr->d_data.d_desc.d_descriptor, NULL) == 0);
	CHECK(close(arg.desc_ptr->d_data.d_desc.d_descriptor) == 0);
	CHECK(munmap(arg.rbuf, arg.rsize) == 0);
	/* Refused; released all the same. */
	passed[0].d_attributes = DOOR_DESCRIPTOR | DOOR_RELEASE;
	passed[0].d_data.d_desc.d_descriptor = dup(file);
	memset(&arg, 0, sizeof arg);
	arg.desc_ptr = passed;
	arg.desc_num = 1;
	FAILS(door_call(refusing, &arg), ENOTSUP);
	settled(before);
	/* Not released when the door is none, or the arguments are unusable. */
	passed[0].d_data.d_desc.d_descriptor = dup(file);
	FAILS(door_call(file, &arg), EBADF);
	CHECK(fcntl(passed[0].d_data.d_desc.d_descriptor, F_GETFD) != -1);
	/* Not descriptors. */
	passed[0].d_attributes = 0;
	FAILS(door_call(door, &arg), EINVAL);
	CHECK(close(passed[0].d_data.d_desc.d_descriptor) == 0);
	passed[0].d_attributes = DOOR_DESCRIPTOR;
	FAILS(door_call(door, &arg), EINVAL);
	arg.desc_ptr = NULL;
	FAILS(door_call(door, &arg), EFAULT);
	/* Errors of door_return come back to the server, which then goes on. */
	CHECK(call(door, "d", 1, room, sizeof room, &arg) == 0);
	CHECK(arg.data_size == 5 && strcmp(room, "done") == 0 && arg.desc_num == 1);
	CHECK(close(arg.desc_ptr->d_data.d_desc.d_descriptor) == 0);
	settled(before);
	close(file);
	CHECK(door_revoke(door) == 0 && door_revoke(refusing) == 0);
}

static void parameters(void)
{
	int door = door_create(serve, NULL, 0);
	int refusing = door_create(serve, NULL, DOOR_REFUSE_DESC);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	size_t value = 1;
	door_desc_t passed;
	door_arg_t arg;
	pid_t child;

	CHECK(door_getparam(door, DOOR_PARAM_DATA_MAX, &value) == 0 && value == SIZE_MAX);
	CHECK(door_getparam(door, DOOR_PARAM_DATA_MIN, &value) == 0 && value == 0);
	CHECK(door_getparam(door, DOOR_PARAM_DESC_MAX, &value) == 0 && value == INT_MAX);
	CHECK(door_getparam(refusing, DOOR_PARAM_DESC_MAX, &value) == 0 && value == 0);
	FAILS(door_getparam(door, 0, &value), EINVAL);
	FAILS(door_getparam(door, 4, &value), EINVAL);
	FAILS(door_getparam(door, DOOR_PARAM_DATA_MAX, NULL), EFAULT);
	FAILS(door_getparam(null, DOOR_PARAM_DATA_MAX, &value), EBADF);
	FAILS(door_getparam(-1, DOOR_PARAM_DATA_MAX, &value), EBADF);
	FAILS(door_setparam(door, 4, 1), EINVAL);
	FAILS(door_setparam(null, DOOR_PARAM_DATA_MAX, 1), EBADF);
	FAILS(door_setparam(refusing, DOOR_PARAM_DESC_MAX, 1), ENOTSUP);
	FAILS(door_setparam(door, DOOR_PARAM_DESC_MAX, (size_t)INT_MAX + 1), ERANGE);
	CHECK(door_setparam(door, DOOR_PARAM_DATA_MIN, 2) == 0);
	CHECK(door_setparam(door, DOOR_PARAM_DATA_MAX, 4) == 0);
	FAILS(door_setparam(door, DOOR_PARAM_DATA_MAX, 1), EINVAL);
	FAILS(door_setparam(door, DOOR_PARAM_DATA_MIN, 5), EINVAL);
	CHECK(door_getparam(door, DOOR_PARAM_DATA_MAX, &value) == 0 && value == 4);
	FAILS(call(door, "z", 1, NULL, 0, NULL), ENOBUFS);
	FAILS(call(door, "zzzzz", 5, NULL, 0, NULL), ENOBUFS);
	FAILS(door_call(door, NULL), ENOBUFS);
	CHECK(call(door, "zz", 2, NULL, 0, NULL) == 0);
	CHECK(call(door, "zzzz", 4, NULL, 0, NULL) == 0);
	CHECK(door_setparam(door, DOOR_PARAM_DATA_MIN, 0) == 0);
	CHECK(door_setparam(door, DOOR_PARAM_DESC_MAX, 0) == 0);
	memset(&passed, 0, sizeof passed);
	memset(&arg, 0, sizeof arg);
	passed.d_attributes = DOOR_DESCRIPTOR;
	passed.d_data.d_desc.d_descriptor = null;
	arg.desc_ptr = &passed;
	arg.desc_num = 1;
	FAILS(door_call(door, &arg), ENFILE);
	/* Another process may read but not set. */
	child = fork();
	if (child == 0) {
		value = 0;
		CHECK(door_getparam(door, DOOR_PARAM_DATA_MAX, &value) == 0 && value == 4);
		FAILS(door_setparam(door, DOOR_PARAM_DATA_MAX, 9), EPERM);
		_exit(0);
	}
	ends_well(child);
	close(null);
	CHECK(door_revoke(door) == 0 && door_revoke(refusing) == 0);
}

static void information(void)
{
	int door = door_create(serve, (void *)4711, DOOR_REFUSE_DESC | DOOR_NO_CANCEL);
	int other = door_create(serve, NULL, 0);
	int copy = fcntl(door, F_DUPFD_CLOEXEC, 0);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int served;
	door_info_t info, more;
	pid_t child;

	CHECK(door_info(door, &info) == 0);
	CHECK(info.di_target == getpid());
	CHECK(info.di_proc == (door_ptr_t)(uintptr_t)serve && info.di_data == 4711);
	CHECK(info.di_attributes == (DOOR_REFUSE_DESC | DOOR_NO_CANCEL | DOOR_LOCAL));
	CHECK(door_info(copy, &more) == 0 && more.di_uniquifier == info.di_uniquifier);
	CHECK(door_info(other, &more) == 0 && more.di_uniquifier != info.di_uniquifier);
	FAILS(door_info(null, &more), EBADF);
	FAILS(door_info(-1, &more), EBADF);
	FAILS(door_info(999, &more), EBADF);
	FAILS(door_info(door, NULL), EFAULT);
	FAILS(door_info(DOOR_QUERY, &more), EBADF);
	child = fork();
	if (child == 0) {
		CHECK(door_info(door, &more) == 0);
		CHECK(more.di_target == getppid() && more.di_uniquifier == info.di_uniquifier);
		CHECK(more.di_proc == info.di_proc && more.di_data == info.di_data);
		CHECK(more.di_attributes == (DOOR_REFUSE_DESC | DOOR_NO_CANCEL));
		_exit(0);
	}
	ends_well(child);
	CHECK(door_revoke(door) == 0);
	CHECK(door_info(copy, &more) == 0);
	CHECK((more.di_attributes & DOOR_REVOKED) != 0 && more.di_target == getpid());
	child = server_process(0, &served);
	CHECK(door_info(served, &more) == 0 && more.di_target == child && more.di_data == 4711);
	reap(child);
	CHECK(door_info(served, &more) == 0);
	CHECK(more.di_target == -1 && (more.di_attributes & DOOR_REVOKED) != 0);
	close(served);
	close(copy);
	close(null);
	CHECK(door_revoke(other) == 0);
}

static void credentials(void)
{
	int door = door_create(serve, NULL, 0);
	door_cred_t cred;
	door_arg_t arg;
	pid_t child;

	FAILS(door_cred(&cred), EINVAL);
	CHECK(call(door, "i", 1, (char *)&cred, sizeof cred, &arg) == 0);
	CHECK(cred.dc_pid == getpid() && cred.dc_euid == geteuid() && cred.dc_ruid == getuid());
	CHECK(cred.dc_egid == getegid() && cred.dc_rgid == getgid());
	child = fork();
	if (child == 0) {
		CHECK(call(door, "i", 1, (char *)&cred, sizeof cred, &arg) == 0);
		CHECK(cred.dc_pid == getpid());
		if (geteuid() == 0) {
			CHECK(setreuid(777, (uid_t)-1) == 0 && setregid(778, (gid_t)-1) == 0);
			CHECK(call(door, "i", 1, (char *)&cred, sizeof cred, &arg) == 0);
			CHECK(cred.dc_euid == 0 && cred.dc_ruid == 777 && cred.dc_rgid == 778);
			CHECK(setreuid(0, (uid_t)-1) == 0 && setregid(0, (gid_t)-1) == 0);
			CHECK(setegid(54321) == 0 && seteuid(12345) == 0);
			CHECK(call(door, "i", 1, (char *)&cred, sizeof cred, &arg) == 0);
			CHECK(cred.dc_euid == 12345 && cred.dc_ruid == 0 && cred.dc_egid == 54321 && cred.dc_rgid == 0);
			CHECK(seteuid(0) == 0 && setgid(54321) == 0 && setuid(12345) == 0);
			CHECK(call(door, "i", 1, (char *)&cred, sizeof cred, &arg) == 0);
			CHECK(cred.dc_euid == 12345 && cred.dc_ruid == 12345 && cred.dc_rgid == 54321);
		}
		_exit(0);
	}
	ends_well(child);
	CHECK(door_revoke(door) == 0);
}

static void *call_and_wait(void *argument)
{
	char room[8];
	int result = call(*(int *)argument, "w", 1, room, sizeof room, NULL);

	return (void *)(intptr_t)(result == 0 ? 0 : errno);
}

static void revocation(void)
{
	int door = door_create(serve, NULL, 0);
	int copy = fcntl(door, F_DUPFD_CLOEXEC, 0);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	pthread_t thread;
	void *result;
	pid_t child;

	FAILS(door_revoke(null), EBADF);
	FAILS(door_revoke(-1), EBADF);
	CHECK(door_call(copy, NULL) == 0);
	child = fork();
	if (child == 0) {
		FAILS(door_revoke(door), EPERM);
		CHECK(door_call(door, NULL) == 0);
		_exit(0);
	}
	ends_well(child);
	/* A call in progress finishes. */
	CHECK(pthread_create(&thread, NULL, call_and_wait, &copy) == 0);
	until(&in_procedure, 1);
	CHECK(door_revoke(door) == 0);
	FAILS(door_call(copy, NULL), EBADF);
	FAILS(door_revoke(copy), EBADF);
	CHECK(write(gate[1], "x", 1) == 1);
	CHECK(pthread_join(thread, &result) == 0 && result == NULL);
	FAILS(door_call(copy, NULL), EBADF);
	close(copy);
	close(null);
}

static void on_signal(int signal)
{
	(void)signal;
}

static void interruptions(void)
{
	struct sigaction action;
	int door = door_create(serve, NULL, 0);
	char room[64];
	pid_t child;
	int served;

	/* The server thread ends. */
	FAILS(call(door, "r", 1, room, sizeof room, NULL), EINTR);
	FAILS(call(door, "x", 1, room, sizeof room, NULL), EINTR);
	CHECK(call(door, "e", 1, room, sizeof room, NULL) == 0);
	/* A signal is caught, with SA_RESTART. */
	memset(&action, 0, sizeof action);
	action.sa_handler = on_signal;
	action.sa_flags = SA_RESTART;
	CHECK(sigaction(SIGALRM, &action, NULL) == 0);
	/* Again and again: the first one may come before the call is made. */
	ualarm(100000, 100000);
	FAILS(call(door, "w", 1, room, sizeof room, NULL), EINTR);
	ualarm(0, 0);
	CHECK(write(gate[1], "x", 1) == 1);
	until(&in_procedure, 0);
	/* The next call is not answered with the results of the one given up. */
	CHECK(call(door, "eleven", 7, room, sizeof room, NULL) == 0 && strcmp(room, "eleven") == 0);
	/* The server process ends in the call, and before it. */
	child = server_process(0, &served);
	CHECK(call(served, "e", 1, room, sizeof room, NULL) == 0);
	FAILS(call(served, "k", 1, room, sizeof room, NULL), EINTR);
	FAILS(call(served, "e", 1, room, sizeof room, NULL), EBADF);
	CHECK(waitpid(child, NULL, 0) == child);
	FAILS(call(served, "e", 1, room, sizeof room, NULL), EBADF);
	close(served);
	child = server_process(0, &served);
	FAILS(call(served, "f", 1, room, sizeof room, NULL), EINTR);
	FAILS(call(served, "e", 1, room, sizeof room, NULL), EBADF);
	CHECK(waitpid(child, NULL, 0) == child);
	close(served);
	child = server_process(0, &served);
	reap(child);
	FAILS(call(served, "e", 1, room, sizeof room, NULL), EBADF);
	close(served);
	CHECK(door_revoke(door) == 0);
}

static void abandoned_calls(void)
{
	static const unsigned int attributes[] = { 0, DOOR_NO_CANCEL };
	int before = descriptors_at_rest();

	for (int i = 0; i < 2; i++) {
		int door = door_create(serve, NULL, attributes[i]);
		pid_t child;

		/* Its thread survives when the caller is killed. */
		child = fork();
		if (child == 0) {
			call(door, "w", 1, NULL, 0, NULL);
			_exit(1);
		}
		until(&in_procedure, 1);
		reap(child);
		CHECK(write(gate[1], "x", 1) == 1);
		until(&in_procedure, 0);
		CHECK(door_call(door, NULL) == 0);
		/* It is told, if it can be. */
		if (attributes[i] == 0) {
			child = fork();
			if (child == 0) {
				call(door, "p", 1, NULL, 0, NULL);
				_exit(1);
			}
			until(&in_procedure, 1);
			CHECK(cancelled == 0);
			reap(child);
			until(&cancelled, 1);
			in_procedure = 0;
			CHECK(door_call(door, NULL) == 0);
		}
		CHECK(door_revoke(door) == 0);
	}
	for (int i = 0; descriptors_at_rest() > before; i++) {
		CHECK(i < 200);
		usleep(10000);
	}
}

static void *meet(void *argument)
{
	char room[8];

	return (void *)(intptr_t)call(*(int *)argument, "m", 1, room, sizeof room, NULL);
}

/* Server threads have the mask of who made the first door, so that signals go to the threads that want them. */
static void masks(void)
{
	pid_t child = fork();

	if (child == 0) {
		sigset_t mask;
		char room[sizeof mask];
		int door;

		sigfillset(&mask);
		sigdelset(&mask, SIGTERM);
		CHECK(pthread_sigmask(SIG_SETMASK, &mask, NULL) == 0);
		door = door_create(serve, NULL, 0);
		CHECK(call(door, "s", 1, room, sizeof room, NULL) == 0);
		memcpy(&mask, room, sizeof mask);
		CHECK(sigismember(&mask, SIGUSR1) == 1 && sigismember(&mask, SIGTERM) == 0);
		_exit(0);
	}
	ends_well(child);
}

static void concurrency(void)
{
	int door = door_create(serve, NULL, 0);
	pthread_t threads[10];
	void *result;

	CHECK(pthread_barrier_init(&meeting, NULL, 10) == 0);
	for (int i = 0; i < 10; i++)
		CHECK(pthread_create(&threads[i], NULL, meet, &door) == 0);
	for (int i = 0; i < 10; i++)
		CHECK(pthread_join(threads[i], &result) == 0 && result == NULL);
	pthread_barrier_destroy(&meeting);
	CHECK(door_revoke(door) == 0);
}

static void forks(void)
{
	int door = door_create(serve, NULL, 0);
	char room[64];
	int before;

	CHECK(call(door, "e", 1, room, sizeof room, NULL) == 0);
	before = descriptors_now();
	for (int i = 0; i < 20; i++) {
		pid_t child = fork();

		if (child == 0) {
			char text[32];

			snprintf(text, sizeof text, "e%d", (int)getpid());
			for (int j = 0; j < 50; j++) {
				CHECK(call(door, text, strlen(text) + 1, room, sizeof room, NULL) == 0);
				CHECK(strcmp(text, room) == 0);
			}
			/* A child may serve a door of its own, and is its parent's caller still. */
			int own = door_create(serve, (void *)1, 0);
			CHECK(own >= 0);
			CHECK(call(own, text, strlen(text) + 1, room, sizeof room, NULL) == 0);
			CHECK(call(door, text, strlen(text) + 1, room, sizeof room, NULL) == 0);
			_exit(0);
		}
		CHECK(call(door, "e-parent", 9, room, sizeof room, NULL) == 0 && strcmp(room, "e-parent") == 0);
		ends_well(child);
	}
	settled(before);
	CHECK(door_revoke(door) == 0);
	/* The two ends of the door and the server's end of the channel; the caller's end closes with the next call. */
	settled(before - 3);
}

static void unreferenced_notices(void)
{
	static const struct {
		unsigned int attribute;
		int expected;
	} rows[] = { { DOOR_UNREF, 1 }, { DOOR_UNREF_MULTI, 3 }, { 0, 0 } };
	int carrier = door_create(serve, NULL, 0);

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		int door = door_create(serve, NULL, rows[i].attribute);
		door_info_t info;

		unreferenced = 0;
		for (int turn = 1; turn <= 3; turn++) {
			door_desc_t passed;
			door_arg_t arg;
			char room[256];
			int received;

			memset(&arg, 0, sizeof arg);
			memset(&passed, 0, sizeof passed);
			passed.d_attributes = DOOR_DESCRIPTOR;
			passed.d_data.d_desc.d_descriptor = door;
			arg.data_ptr = "e";
			arg.data_size = 1;
			arg.desc_ptr = &passed;
			arg.desc_num = 1;
			arg.rbuf = room;
			arg.rsize = sizeof room;
			CHECK(door_call(carrier, &arg) == 0 && arg.desc_num == 1);
			received = arg.desc_ptr->d_data.d_desc.d_descriptor;
			CHECK(door_call(received, NULL) == 0);
			CHECK(door_info(door, &info) == 0 && (info.di_attributes & DOOR_IS_UNREF) == 0);
			CHECK(close(received) == 0);
			if (rows[i].attribute == DOOR_UNREF_MULTI)
				until(&unreferenced, turn);
			else if (rows[i].attribute == DOOR_UNREF)
				until(&unreferenced, 1);
			if (rows[i].attribute != 0) {
				for (int wait = 0; wait < 1000; wait++) {
					CHECK(door_info(door, &info) == 0);
					if ((info.di_attributes & DOOR_IS_UNREF) != 0)
						break;
					usleep(1000);
				}
				CHECK((info.di_attributes & DOOR_IS_UNREF) != 0);
			}
		}
		usleep(20000);
		CHECK(unreferenced == rows[i].expected);
		CHECK(door_call(door, NULL) == 0);
		CHECK(door_revoke(door) == 0);
	}
	CHECK(door_revoke(carrier) == 0);
}

/* ---- Threads made by the program ---- */

static int private_door = -1;
static volatile int private_made, shared_made, private_gone;
static pthread_mutex_t made_lock = PTHREAD_MUTEX_INITIALIZER;

static void *private_thread(void *argument)
{
	(void)argument;
	/* The door's number is known once door_create is back. */
	pthread_mutex_lock(&made_lock);
	pthread_mutex_unlock(&made_lock);
	CHECK(door_bind(private_door) == 0);
	CHECK(door_return(NULL, 0, NULL, 0) == -1);
	CHECK(errno == EINVAL);
	CHECK(door_unbind() == 0);
	FAILS(door_unbind(), EBADF);
	private_gone++;
	return NULL;
}

static void *shared_thread(void *argument)
{
	(void)argument;
	door_return(NULL, 0, NULL, 0);
	return NULL;
}

static void my_creator(door_info_t *info)
{
	pthread_t thread;

	if (info != NULL && (info->di_attributes & DOOR_PRIVATE) != 0) {
		/* One thread and no more. */
		if (private_made++ == 0)
			CHECK(pthread_create(&thread, NULL, private_thread, NULL) == 0 && pthread_detach(thread) == 0);
	} else {
		shared_made++;
		CHECK(pthread_create(&thread, NULL, shared_thread, NULL) == 0 && pthread_detach(thread) == 0);
	}
}

static void private_pools(void)
{
	door_server_func_t *previous = door_server_create(my_creator);
	door_info_t info;
	pthread_t callers[4];
	void *result;
	int shared;

	CHECK(previous != NULL && previous != my_creator);
	pthread_mutex_lock(&made_lock);
	private_door = door_create(serve, (void *)99, DOOR_PRIVATE);
	pthread_mutex_unlock(&made_lock);
	CHECK(private_door >= 0 && private_made == 1);
	CHECK(call(private_door, "q", 1, (char *)&info, sizeof info, NULL) == 0);
	CHECK(info.di_data == 99 && info.di_target == getpid());
	CHECK(info.di_attributes == (DOOR_PRIVATE | DOOR_LOCAL));
	CHECK(private_made == 2); /* asked again when the only one was taken */
	/* Four callers, one thread: they wait for it. */
	for (int i = 0; i < 4; i++)
		CHECK(pthread_create(&callers[i], NULL, call_and_wait, &private_door) == 0);
	until(&in_procedure, 1);
	CHECK(write(gate[1], "xxxx", 4) == 4);
	for (int i = 0; i < 4; i++)
		CHECK(pthread_join(callers[i], &result) == 0 && result == NULL);
	/* Callers that wait for a thread learn of the end. */
	int copy = fcntl(private_door, F_DUPFD_CLOEXEC, 0);
	for (int i = 0; i < 2; i++) {
		CHECK(pthread_create(&callers[i], NULL, call_and_wait, &copy) == 0);
		if (i == 0)
			until(&in_procedure, 1);
	}
	usleep(50000);
	CHECK(door_revoke(private_door) == 0);
	CHECK(pthread_join(callers[1], &result) == 0 && (intptr_t)result == EBADF);
	CHECK(write(gate[1], "x", 1) == 1);
	CHECK(pthread_join(callers[0], &result) == 0 && result == NULL);
	until(&private_gone, 1);
	close(copy);
	/* Shared threads come from the function too, when the last free one is taken. */
	shared = door_create(serve, NULL, 0);
	CHECK(call(shared, "q", 1, (char *)&info, sizeof info, NULL) == 0);
	CHECK(info.di_target == EBADF); /* not bound */
	FAILS(door_bind(shared), EINVAL);
	FAILS(door_bind(0), EBADF);
	FAILS(door_unbind(), EBADF);
	CHECK(door_server_create(previous) == my_creator);
	CHECK(door_server_create(NULL) == previous);
	CHECK(door_revoke(shared) == 0);
}

static volatile int x_made, x_depleted, x_setup;

static int x_creator(door_info_t *info, void *(*start)(void *), void *argument, void *cookie)
{
	pthread_t thread;

	CHECK(cookie == (void *)7 && (info->di_attributes & DOOR_PRIVCREATE) != 0);
	if ((info->di_attributes & DOOR_DEPLETION_CB) != 0) {
		x_depleted++;
		return 0;
	}
	x_made++;
	CHECK(pthread_create(&thread, NULL, start, argument) == 0 && pthread_detach(thread) == 0);
	return 1;
}

static int failing_creator(door_info_t *info, void *(*start)(void *), void *argument, void *cookie)
{
	(void)info;
	(void)start;
	(void)argument;
	(void)cookie;
	return -1;
}

static void x_set_up(void *cookie)
{
	CHECK(cookie == (void *)7);
	__sync_fetch_and_add(&x_setup, 1);
}

static void xcreate(void)
{
	door_info_t info;
	int door;

	FAILS(door_xcreate(serve, NULL, 0, NULL, NULL, NULL, 1), EINVAL);
	FAILS(door_xcreate(serve, NULL, 0, x_creator, NULL, NULL, 0), EINVAL);
	FAILS(door_xcreate(serve, NULL, DOOR_LOCAL, x_creator, NULL, NULL, 1), EINVAL);
	FAILS(door_xcreate(serve, NULL, 0, failing_creator, NULL, NULL, 1), EAGAIN);
	for (int quiet = 0; quiet < 2; quiet++) {
		x_made = x_depleted = x_setup = 0;
		door = door_xcreate(serve, (void *)3, quiet ? DOOR_NO_DEPLETION_CB : 0, x_creator, x_set_up, (void *)7, 2);
		CHECK(door >= 0 && x_made == 2 && x_setup == 2);
		CHECK(call(door, "q", 1, (char *)&info, sizeof info, NULL) == 0);
		CHECK(info.di_data == 3);
		CHECK((info.di_attributes & (DOOR_PRIVATE | DOOR_PRIVCREATE | DOOR_LOCAL)) ==
		    (DOOR_PRIVATE | DOOR_PRIVCREATE | DOOR_LOCAL));
		CHECK(pthread_barrier_init(&meeting, NULL, 2) == 0);
		pthread_t threads[2];
		void *result;
		for (int i = 0; i < 2; i++)
			CHECK(pthread_create(&threads[i], NULL, meet, &door) == 0);
		for (int i = 0; i < 2; i++)
			CHECK(pthread_join(threads[i], &result) == 0 && result == NULL);
		pthread_barrier_destroy(&meeting);
		CHECK(quiet ? x_depleted == 0 : x_depleted > 0);
		CHECK(door_revoke(door) == 0);
	}
}

static void paths(void)
{
	char directory[] = "/tmp/door-XXXXXX";
	char path[64], text[8] = "";
	char room[64];
	struct stat before, after;
	int door = door_create(serve, NULL, DOOR_UNREF_MULTI);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int file, opened;

	CHECK(mkdtemp(directory) != NULL);
	snprintf(path, sizeof path, "%s/door", directory);
	FAILS(fattach(door, path), ENOENT);
	FAILS(fattach(door, NULL), EFAULT);
	FAILS(fdetach(path), ENOENT);
	FAILS(door_open(path, O_RDWR), ENOENT);
	file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0640);
	CHECK(write(file, "below", 5) == 5 && close(file) == 0 && chmod(path, 0642) == 0);
	CHECK(stat(path, &before) == 0);
	FAILS(fattach(null, path), EINVAL);
	FAILS(fattach(-1, path), EBADF);
	FAILS(fdetach(path), EINVAL);
	CHECK(fattach(door, path) == 0);
	CHECK(stat(path, &after) == 0 && S_ISSOCK(after.st_mode));
	CHECK((after.st_mode & 07777) == 0642 && after.st_uid == before.st_uid && after.st_gid == before.st_gid);
	FAILS(fattach(door, path), EBUSY);
	pid_t child = fork();
	if (child == 0) {
		opened = door_open(path, O_RDWR);
		CHECK(opened >= 0 && fcntl(opened, F_GETFD) == 0);
		CHECK(call(opened, "eye", 4, room, sizeof room, NULL) == 0 && strcmp(room, "eye") == 0);
		_exit(0);
	}
	ends_well(child);
	opened = door_open(path, O_RDWR | O_CLOEXEC);
	CHECK(opened >= 0 && fcntl(opened, F_GETFD) == FD_CLOEXEC);
	unreferenced = 0;
	CHECK(fdetach(path) == 0);
	CHECK(stat(path, &after) == 0 && after.st_ino == before.st_ino);
	file = open(path, O_RDONLY | O_CLOEXEC);
	CHECK(read(file, text, 5) == 5 && strcmp(text, "below") == 0 && close(file) == 0);
	FAILS(fdetach(path), EINVAL);
	/* An open descriptor is not concerned; the path is one reference less. */
	CHECK(call(opened, "eye", 4, room, sizeof room, NULL) == 0);
	CHECK(close(opened) == 0);
	for (int i = 0; i < 1000 && unreferenced == 0; i++)
		usleep(5000);
	CHECK(unreferenced == 1);
	/* What a server left that has ended without fdetach does not stand in the way of the next. */
	child = fork();
	if (child == 0) {
		CHECK(fattach(door_create(serve, NULL, 0), path) == 0);
		_exit(0);
	}
	ends_well(child);
	FAILS(door_open(path, O_RDWR), ECONNREFUSED);
	CHECK(fattach(door, path) == 0);
	opened = door_open(path, O_RDWR | O_CLOEXEC);
	CHECK(opened >= 0 && call(opened, "eye", 4, room, sizeof room, NULL) == 0 && close(opened) == 0);
	CHECK(fdetach(path) == 0);
	CHECK(stat(path, &after) == 0 && after.st_ino == before.st_ino);
	if (geteuid() == 0) {
		child = fork();
		if (child == 0) {
			CHECK(setuid(12345) == 0);
			FAILS(fattach(door, path), EACCES);
			_exit(0);
		}
		CHECK(chmod(directory, 0700) == 0);
		ends_well(child);
	}
	CHECK(unlink(path) == 0 && rmdir(directory) == 0);
	close(null);
	CHECK(door_revoke(door) == 0);
}

static void few_descriptors(struct rlimit *before)
{
	struct rlimit none;

	CHECK(getrlimit(RLIMIT_NOFILE, before) == 0);
	none = *before;
	none.rlim_cur = 3;
	CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
}

/* A process that has no room for what a call gives it. */
static void short_of_everything(void)
{
	char request[1 + sizeof(size_t)] = "b", room[64];
	size_t wanted = (size_t)256 << 20;
	int door = door_create(serve, NULL, 0), made;
	struct rlimit before, memory = { (rlim_t)1 << 26, RLIM_INFINITY };

	few_descriptors(&before);
	errno = 0;
	made = door_create(serve, NULL, 0);
	int error = errno;
	CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
	CHECK(made == -1 && error == EMFILE);
	seen("door_create", "EMFILE");
	few_descriptors(&before);
	errno = 0;
	made = door_xcreate(serve, NULL, 0, x_creator, NULL, NULL, 1);
	error = errno;
	CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
	CHECK(made == -1 && error == EMFILE);
	seen("door_xcreate", "EMFILE");
	pid_t child = fork();
	if (child == 0) {
		/* So that the thread has a channel to the door. */
		CHECK(call(door, "c", 1, room, sizeof room, NULL) == 0);
		memcpy(request + 1, &wanted, sizeof wanted);
		CHECK(setrlimit(RLIMIT_AS, &memory) == 0);
		FAILS(call(door, request, sizeof request, NULL, 0, NULL), EOVERFLOW);
		few_descriptors(&before);
		errno = 0;
		made = call(door, "d", 1, room, sizeof room, NULL);
		error = errno;
		CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
		CHECK(made == -1 && error == EMFILE);
		seen("door_call", "EMFILE");
		_exit(0);
	}
	ends_well(child);
	CHECK(door_revoke(door) == 0);
}

static void not_doors(void)
{
	int pair[2];
	char room[8];

	FAILS(door_call(-1, NULL), EBADF);
	FAILS(door_call(999, NULL), EBADF);
	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
	FAILS(call(pair[0], "e", 1, room, sizeof room, NULL), EBADF);
	FAILS(door_info(pair[0], (door_info_t *)(void *)room), EBADF);
	close(pair[0]);
	close(pair[1]);
}

int main(int count, char **words)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} rows[] = {
		{ "creation", creation },
		{ "arguments and results", arguments_and_results },
		{ "bad pages", bad_pages },
		{ "big results", big_results },
		{ "descriptors", descriptors },
		{ "parameters", parameters },
		{ "information", information },
		{ "credentials", credentials },
		{ "revocation", revocation },
		{ "interruptions", interruptions },
		{ "abandoned calls", abandoned_calls },
		{ "masks", masks },
		{ "concurrency", concurrency },
		{ "forks", forks },
		{ "unreferenced notices", unreferenced_notices },
		{ "private pools", private_pools },
		{ "xcreate", xcreate },
		{ "paths", paths },
		{ "short of everything", short_of_everything },
		{ "not doors", not_doors },
	};

	alarm(120); /* nothing may hang */
	CHECK(pipe2(gate, O_CLOEXEC) == 0);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		if (count > 1 && strcmp(words[1], rows[i].name) != 0)
			continue;
		rows[i].run();
		printf("%s: ok\n", rows[i].name);
		fflush(stdout);
	}
	return 0;
}

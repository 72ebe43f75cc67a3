/*
 * Doors under load: processes full of calling threads, killed and replaced at random, and a revocation in the middle of it.
 * Every reply must be that of its call, nothing may hang, and the server must end with the descriptors it began with.
 */
#define _GNU_SOURCE
#include <door.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROCESSES 4
#define THREADS 8
#define CALLS 100000
#define LARGEST 300000

#define CHECK(what) \
	do { \
		if (!(what)) { \
			fprintf(stderr, "%s:%d: not so: %s (errno %d, %s)\n", __FILE__, __LINE__, #what, errno, strerror(errno)); \
			_exit(1); \
		} \
	} while (0)

struct head {
	uint64_t caller;
	uint64_t serial;
	uint64_t size; /* of what follows */
	uint64_t descriptors;
};

static volatile long *total; /* shared by all processes */
static int door;

static unsigned int random_number(unsigned int *state)
{
	*state = *state * 1103515245u + 12345u;
	return *state >> 8;
}

static char pattern(const struct head *head, size_t index)
{
	return (char)(head->caller * 7 + head->serial * 13 + index);
}

/* A descriptor in which the serial number can be read. */
static int marked(uint64_t serial)
{
	int file = memfd_create("mark", MFD_CLOEXEC);

	CHECK(file >= 0);
	CHECK(pwrite(file, &serial, sizeof serial, 0) == (ssize_t)sizeof serial);
	return file;
}

static uint64_t mark(int file)
{
	uint64_t serial = 0;

	CHECK(pread(file, &serial, sizeof serial, 0) == (ssize_t)sizeof serial);
	return serial;
}

/* Answers with the complement of the argument, and with its own descriptors for those that came. */
static void serve(void *cookie, char *data, size_t size, door_desc_t *descriptors, unsigned int count)
{
	struct head *head = (struct head *)(void *)data;

	(void)cookie;
	CHECK(size >= sizeof *head && head->size == size - sizeof *head && head->descriptors == count);
	for (size_t i = 0; i < head->size; i += 97)
		CHECK(data[sizeof *head + i] == pattern(head, i));
	for (size_t i = sizeof *head; i < size; i++)
		data[i] = (char)~data[i];
	for (unsigned int i = 0; i < count; i++) {
		CHECK(mark(descriptors[i].d_data.d_desc.d_descriptor) == head->serial);
		CHECK(close(descriptors[i].d_data.d_desc.d_descriptor) == 0);
		descriptors[i].d_attributes = DOOR_DESCRIPTOR | DOOR_RELEASE;
		descriptors[i].d_data.d_desc.d_descriptor = marked(~head->serial);
	}
	door_return(data, size, descriptors, count);
	CHECK(!"door_return came back");
}

static size_t size_of_call(unsigned int *state)
{
	unsigned int kind = random_number(state) % 256;

	if (kind < 200)
		return random_number(state) % 256;
	if (kind < 250)
		return random_number(state) % 8192;
	return random_number(state) % LARGEST;
}

static void *calls(void *argument)
{
	unsigned int state = (unsigned int)getpid() * 31u + (unsigned int)(uintptr_t)argument;
	char *memory = malloc(sizeof(struct head) + LARGEST);
	char room[sizeof(struct head) + 4096 + 5 * sizeof(door_desc_t)];
	struct head *head = (struct head *)(void *)memory;

	CHECK(memory != NULL);
	for (uint64_t serial = 1;; serial++) {
		door_desc_t passed[4];
		door_arg_t arg;
		struct head answer;
		int result, error;

		head->caller = (uint64_t)getpid() << 8 | (uintptr_t)argument;
		head->serial = serial << 20 | random_number(&state) % 1000;
		head->size = size_of_call(&state);
		head->descriptors = random_number(&state) % 16 == 0 ? 1 + random_number(&state) % 4 : 0;
		for (size_t i = 0; i < head->size; i++)
			memory[sizeof *head + i] = pattern(head, i);
		memset(passed, 0, sizeof passed);
		for (uint64_t i = 0; i < head->descriptors; i++) {
			passed[i].d_attributes = DOOR_DESCRIPTOR | (i % 2 == 0 ? DOOR_RELEASE : 0);
			passed[i].d_data.d_desc.d_descriptor = marked(head->serial);
		}
		memset(&arg, 0, sizeof arg);
		arg.data_ptr = memory;
		arg.data_size = sizeof *head + head->size;
		arg.desc_ptr = passed;
		arg.desc_num = (unsigned int)head->descriptors;
		arg.rbuf = room;
		arg.rsize = sizeof room;
		result = door_call(door, &arg);
		error = errno;
		for (uint64_t i = 1; i < head->descriptors; i += 2)
			CHECK(close(passed[i].d_data.d_desc.d_descriptor) == 0);
		if (result != 0) {
			errno = error;
			CHECK(error == EBADF); /* revoked */
			CHECK(*total >= CALLS);
			free(memory);
			return NULL;
		}
		memcpy(&answer, arg.data_ptr, sizeof answer);
		CHECK(arg.data_size == sizeof *head + head->size);
		CHECK(memcmp(&answer, head, sizeof answer) == 0);
		for (size_t i = 0; i < head->size; i++)
			CHECK(arg.data_ptr[sizeof *head + i] == (char)~pattern(head, i));
		CHECK(arg.desc_num == head->descriptors);
		for (uint64_t i = 0; i < head->descriptors; i++) {
			CHECK(mark(arg.desc_ptr[i].d_data.d_desc.d_descriptor) == ~head->serial);
			CHECK(close(arg.desc_ptr[i].d_data.d_desc.d_descriptor) == 0);
		}
		if (arg.rbuf != room)
			CHECK(munmap(arg.rbuf, arg.rsize) == 0);
		__sync_fetch_and_add(total, 1);
	}
}

static pid_t client(void)
{
	pid_t child = fork();

	CHECK(child >= 0);
	if (child == 0) {
		pthread_t threads[THREADS];

		alarm(100);
		for (uintptr_t i = 0; i < THREADS; i++)
			CHECK(pthread_create(&threads[i], NULL, calls, (void *)i) == 0);
		for (int i = 0; i < THREADS; i++)
			CHECK(pthread_join(threads[i], NULL) == 0);
		_exit(0);
	}
	return child;
}

static int open_descriptors(void)
{
	int count = 0;

	for (int i = 0; i < 4096; i++)
		count += fcntl(i, F_GETFD) != -1;
	return count;
}

static void await_descriptors(int expected)
{
	for (int i = 0; i < 1000 && open_descriptors() != expected; i++)
		usleep(10000);
	if (open_descriptors() != expected)
		fprintf(stderr, "%d descriptors instead of %d\n", open_descriptors(), expected);
	CHECK(open_descriptors() == expected);
}

int main(void)
{
	pid_t children[PROCESSES];
	unsigned int state = (unsigned int)time(NULL);
	int before, killed = 0;

	printf("seed %u\n", state);
	fflush(stdout);
	alarm(100); /* nothing may hang */
	total = mmap(NULL, sizeof *total, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(total != MAP_FAILED);
	door = door_create(serve, NULL, 0);
	CHECK(door >= 0);
	before = open_descriptors();
	for (int i = 0; i < PROCESSES; i++)
		children[i] = client();
	while (*total < CALLS) {
		int victim = (int)(random_number(&state) % PROCESSES);
		int status;

		usleep(20000 + random_number(&state) % 60000);
		CHECK(kill(children[victim], SIGKILL) == 0);
		CHECK(waitpid(children[victim], &status, 0) == children[victim]);
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		children[victim] = client();
		killed++;
	}
	usleep(100000);
	/* Under load. */
	CHECK(door_revoke(door) == 0);
	for (int i = 0; i < PROCESSES; i++) {
		int status;

		CHECK(waitpid(children[i], &status, 0) == children[i]);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
	/* The descriptor of the door and the server's end of it. */
	await_descriptors(before - 2);
	CHECK(killed > 0);
	printf("%ld calls, %d processes killed\n", *total, killed);
	return 0;
}

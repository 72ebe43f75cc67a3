/* relay: the least that a second node can do, for use as a yardstick only.  Whatever comes
 * from a host goes to the target, and back, by one thread that neither looks at it nor
 * keeps it: what a real standby node loses against it is the price of being a real one.
 *
 *   relay port-to-listen-at port-of-the-target
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static char buffer[256 * 1024];

__attribute__((noreturn)) static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int tcp(int port, int listens)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((in_port_t)port), .sin_addr = { htonl(INADDR_LOOPBACK) } };
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    if (fd < 0)
        die("socket");
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on))
        die("setsockopt");
    if (listens ? bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 1) : connect(fd, (struct sockaddr *)&a, sizeof a))
        die(listens ? "listen" : "connect");
    return fd;
}

/* What one side has said, to the other.  0: it has ended. */
static int pass(int from, int to)
{
    ssize_t n = recv(from, buffer, sizeof buffer, 0);
    for (ssize_t gone = 0; gone < n;) {
        ssize_t k = send(to, buffer + gone, (size_t)(n - gone), MSG_NOSIGNAL);
        if (k < 0)
            return 0;
        gone += k;
    }
    return n > 0;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: relay port-to-listen-at port-of-the-target\n");
        return 2;
    }
    int door = tcp(atoi(argv[1]), 1);
    for (;;) {
        int host = accept(door, NULL, NULL), target = tcp(atoi(argv[2]), 0);
        if (host < 0)
            die("accept");
        struct pollfd p[2] = { { .fd = host, .events = POLLIN }, { .fd = target, .events = POLLIN } };
        while (poll(p, 2, -1) > 0) {
            if ((p[0].revents && !pass(host, target)) || (p[1].revents && !pass(target, host)))
                break;
        }
        close(host);
        close(target);
    }
}

/* iscsi-load: a fixed queue depth of READ(10)/WRITE(10) against one LU, through
 * libiscsi, on one thread.  The same client for every target, so that targets can
 * be compared with each other.
 *
 *   iscsi-load -u iscsi://host:port/iqn/lun [-b bytes] [-q depth] [-r read%]
 *              [-j sessions] [-t secs] [-w warm-up secs] [-S span bytes]
 *              [-l (sequential)] [-F (FUA writes)] [-p pid of the target]
 *              [-n ops (stop after that many instead of -t; no warm-up)]
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>
#include "hist.h"

struct session;
struct slot {
    struct session *se;
    unsigned char *buf;
    struct scsi_iovec iov;
    uint64_t t0;
};
struct session {
    struct iscsi_context *ctx;
    int lun;
    int inflight;
    struct slot *slots;
};

static uint32_t bs = 4096;
static int depth = 1, readpct = 100, nsess = 1, seq, fua, tpid = -1;
static double secs = 10, warm = 1;
static uint64_t maxops;
static uint64_t span, rng = 0x9e3779b97f4a7c15ull, seqpos, errors;
static uint32_t block = 512;
static int counting, stopping;
static struct hist h;

static void die(const char *fmt, ...)
{
    va_list a;
    va_start(a, fmt);
    vfprintf(stderr, fmt, a);
    va_end(a);
    fputc('\n', stderr);
    exit(1);
}

static void submit(struct slot *s);

static void done(struct iscsi_context *ctx, int status, void *command_data, void *priv)
{
    struct scsi_task *task = command_data;
    struct slot *s = priv;
    (void)ctx;
    s->se->inflight--;
    if (status != SCSI_STATUS_GOOD)
        errors++;
    else if (counting)
        hist_add(&h, now_ns() - s->t0);
    if (task) scsi_free_scsi_task(task);
    if (status != SCSI_STATUS_GOOD && errors > 1000) die("more than 1000 failed commands");
    if (!stopping) submit(s);
}

static void submit(struct slot *s)
{
    uint64_t nb = span / bs, at, lba;
    struct scsi_task *t;
    int rd = readpct == 100 || (readpct > 0 && (int)(rng_next(&rng) >> 33) % 100 < readpct);

    at = seq ? seqpos++ % nb : (rng_next(&rng) >> 11) % nb;
    lba = at * (bs / block);
    s->iov.iov_base = s->buf;
    s->iov.iov_len = bs;
    s->t0 = now_ns();
    if (rd)
        t = iscsi_read10_iov_task(s->se->ctx, s->se->lun, (uint32_t)lba, bs, (int)block,
                                  0, 0, 0, 0, 0, done, s, &s->iov, 1);
    else
        t = iscsi_write10_iov_task(s->se->ctx, s->se->lun, (uint32_t)lba, s->buf, bs, (int)block,
                                   0, 0, fua, 0, 0, done, s, &s->iov, 1);
    if (!t) die("cannot queue: %s", iscsi_get_error(s->se->ctx));
    s->se->inflight++;
}

static void pump(struct session *se, struct pollfd *pf, int timeout_ms)
{
    int n = 0;
    for (int i = 0; i < nsess; i++) {
        pf[i].fd = iscsi_get_fd(se[i].ctx);
        pf[i].events = (short)iscsi_which_events(se[i].ctx);
        pf[i].revents = 0;
    }
    n = poll(pf, (nfds_t)nsess, timeout_ms);
    if (n < 0 && errno != EINTR) die("poll: %s", strerror(errno));
    for (int i = 0; i < nsess; i++) {
        if (n <= 0 && timeout_ms == 0) continue;
        if (pf[i].revents &&
            iscsi_service(se[i].ctx, pf[i].revents) < 0)
            die("service: %s", iscsi_get_error(se[i].ctx));
        /* what the callbacks queued goes out at once, without another poll */
        if (!stopping && (iscsi_which_events(se[i].ctx) & POLLOUT) &&
            iscsi_service(se[i].ctx, POLLOUT) < 0)
            die("service: %s", iscsi_get_error(se[i].ctx));
    }
}

static void open_session(struct session *se, const char *url, int i)
{
    char name[128];
    snprintf(name, sizeof name, "iqn.2026-11.example.bench:load-%d-%d", (int)getpid(), i);
    se->ctx = iscsi_create_context(name);
    if (!se->ctx) die("no context");
    struct iscsi_url *u = iscsi_parse_full_url(se->ctx, url);
    if (!u) die("bad URL %s: %s", url, iscsi_get_error(se->ctx));
    iscsi_set_session_type(se->ctx, ISCSI_SESSION_NORMAL);
    iscsi_set_targetname(se->ctx, u->target);
    iscsi_set_header_digest(se->ctx, ISCSI_HEADER_DIGEST_NONE);
    iscsi_set_noautoreconnect(se->ctx, 1);
    se->lun = u->lun;
    if (iscsi_full_connect_sync(se->ctx, u->portal, u->lun) != 0)
        die("login to %s: %s", url, iscsi_get_error(se->ctx));
    iscsi_destroy_url(u);
}

int main(int argc, char **argv)
{
    const char *url = NULL;
    int c;
    while ((c = getopt(argc, argv, "u:b:q:r:j:t:w:S:lFp:n:")) != -1)
        switch (c) {
        case 'u': url = optarg; break;
        case 'b': bs = (uint32_t)atoi(optarg); break;
        case 'q': depth = atoi(optarg); break;
        case 'r': readpct = atoi(optarg); break;
        case 'j': nsess = atoi(optarg); break;
        case 't': secs = atof(optarg); break;
        case 'w': warm = atof(optarg); break;
        case 'S': span = strtoull(optarg, NULL, 0); break;
        case 'l': seq = 1; break;
        case 'F': fua = 1; break;
        case 'n': maxops = strtoull(optarg, NULL, 0); warm = 0; secs = 3600; break;
        case 'p': tpid = atoi(optarg); break;
        default: die("see the top of iscsi-load.c");
        }
    if (!url || nsess < 1 || depth < 1) die("see the top of iscsi-load.c");

    struct session *se = calloc((size_t)nsess, sizeof *se);
    struct pollfd *pf = calloc((size_t)nsess, sizeof *pf);
    for (int i = 0; i < nsess; i++) open_session(&se[i], url, i);

    struct scsi_task *t = iscsi_readcapacity10_sync(se[0].ctx, se[0].lun, 0, 0);
    if (!t || t->status != SCSI_STATUS_GOOD) die("READ CAPACITY: %s", iscsi_get_error(se[0].ctx));
    struct scsi_readcapacity10 *rc = scsi_datain_unmarshall(t);
    if (!rc) die("READ CAPACITY: bad data");
    block = rc->block_size;
    uint64_t cap = ((uint64_t)rc->lba + 1) * block;
    scsi_free_scsi_task(t);
    if (span == 0 || span > cap) span = cap;
    if (bs % block || span < bs) die("block size %u does not fit LU of %llu/%u", bs,
                                     (unsigned long long)cap, block);

    for (int i = 0; i < nsess; i++) {
        se[i].slots = calloc((size_t)depth, sizeof *se[i].slots);
        for (int k = 0; k < depth; k++) {
            struct slot *s = &se[i].slots[k];
            s->se = &se[i];
            if (posix_memalign((void **)&s->buf, 4096, bs)) die("memory");
            memset(s->buf, 0x5a + k, bs);
        }
    }
    for (int i = 0; i < nsess; i++)
        for (int k = 0; k < depth; k++) submit(&se[i].slots[k]);

    uint64_t t0 = now_ns(), end = t0 + (uint64_t)(warm * 1e9);
    while (now_ns() < end) pump(se, pf, 100);
    double c0 = cpu_of(RUSAGE_SELF), p0 = cpu_of_pid(tpid);
    counting = 1;
    t0 = now_ns();
    end = t0 + (uint64_t)(secs * 1e9);
    uint64_t t1;
    while ((t1 = now_ns()) < end && (!maxops || h.n < maxops)) pump(se, pf, 100);
    counting = 0;
    double c1 = cpu_of(RUSAGE_SELF), p1 = cpu_of_pid(tpid);
    stopping = 1;

    uint64_t limit = now_ns() + 5000000000ull;
    for (;;) {
        int left = 0;
        for (int i = 0; i < nsess; i++) left += se[i].inflight;
        if (!left || now_ns() > limit) {
            if (left) fprintf(stderr, "%d commands never answered\n", left);
            break;
        }
        pump(se, pf, 100);
    }
    report(&h, (double)(t1 - t0) / 1e9, bs, errors, c1 - c0, p0 < 0 ? -1 : p1 - p0);
    for (int i = 0; i < nsess; i++) {
        iscsi_logout_sync(se[i].ctx);
        iscsi_destroy_context(se[i].ctx);
    }
    return errors ? 3 : 0;
}

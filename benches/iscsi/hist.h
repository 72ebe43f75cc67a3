/* Latency histogram and small helpers of iscsi-load.
 * Buckets are log-linear: 64 per power of two of nanoseconds (error < 1.6 %). */
#ifndef BENCH_HIST_H
#define BENCH_HIST_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#define HIST_SUB 64
#define HIST_N (HIST_SUB * 40)

struct hist { uint64_t n, max, b[HIST_N]; };

static inline uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline void hist_add(struct hist *h, uint64_t ns)
{
    unsigned idx;
    if (ns < HIST_SUB) {
        idx = (unsigned)ns;
    } else {
        unsigned e = 63u - (unsigned)__builtin_clzll(ns);      /* 2^e <= ns */
        idx = (e - 5) * HIST_SUB + (unsigned)((ns >> (e - 6)) & (HIST_SUB - 1));
    }
    if (idx >= HIST_N) idx = HIST_N - 1;
    h->b[idx]++;
    h->n++;
    if (ns > h->max) h->max = ns;
}

static inline double hist_pct_us(const struct hist *h, double p)
{
    uint64_t want = (uint64_t)(p / 100.0 * (double)h->n + 0.5), seen = 0;
    if (want == 0) want = 1;
    for (unsigned i = 0; i < HIST_N; i++) {
        seen += h->b[i];
        if (seen >= want) {
            if (i < HIST_SUB) return (double)i / 1000.0;
            unsigned e = i / HIST_SUB + 5, s = i % HIST_SUB;
            double lo = (double)(1ull << e) * (1.0 + (double)s / HIST_SUB);
            return lo * (1.0 + 0.5 / HIST_SUB) / 1000.0;
        }
    }
    return (double)h->max / 1000.0;
}

static inline double cpu_of(int who)
{
    struct rusage r;
    getrusage(who, &r);
    return (double)r.ru_utime.tv_sec + (double)r.ru_utime.tv_usec / 1e6 +
           (double)r.ru_stime.tv_sec + (double)r.ru_stime.tv_usec / 1e6;
}

/* CPU time of another process, all threads, in seconds; -1 if unknown */
static inline double cpu_of_pid(int pid)
{
    clockid_t clock;
    struct timespec t;
    if (pid <= 0 || clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &t)) return -1;
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static inline uint64_t rng_next(uint64_t *s)
{
    uint64_t x = *s;
    x ^= x << 13; x ^= x >> 7; x ^= x << 17;
    return *s = x;
}

/* One machine-readable line; tcpu < 0 means the target's CPU time is unknown. */
static inline void report(const struct hist *h, double secs, uint64_t bs, uint64_t errors,
                          double ccpu, double tcpu)
{
    printf("ops=%llu iops=%.1f mbps=%.2f p50_us=%.1f p99_us=%.1f p999_us=%.1f max_us=%.1f "
           "errors=%llu client_cpu_us_op=%.2f target_cpu_us_op=%.2f secs=%.3f\n",
           (unsigned long long)h->n, (double)h->n / secs, (double)h->n * (double)bs / secs / 1e6,
           hist_pct_us(h, 50), hist_pct_us(h, 99), hist_pct_us(h, 99.9), (double)h->max / 1000.0,
           (unsigned long long)errors, h->n ? ccpu * 1e6 / (double)h->n : 0,
           (h->n && tcpu >= 0) ? tcpu * 1e6 / (double)h->n : -1.0, secs);
}
#endif

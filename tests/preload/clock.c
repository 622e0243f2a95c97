/*
 * Loaded into nginx before libc, by tests only: the monotonic clock stands still at the time that a
 * shared file says. So a test decides what a limit sees of time, to the millisecond, and a month
 * passes at once. The time of day stays real, unless the file says one.
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* Milliseconds; tests/common/clock.rs writes them. */
struct clocks {
    atomic_ulong  monotonic;
    atomic_ulong  time_of_day;     /* since 1970; 0: the real one */
};

static struct clocks  *now;

__attribute__((constructor)) static void
start(void)
{
    const char  *path = getenv("NGX_SMART_CLOCK");
    int          file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void        *memory;

    if (file == -1) {
        return;
    }

    memory = mmap(NULL, sizeof(*now), PROT_READ, MAP_SHARED, file, 0);
    close(file);

    if (memory != MAP_FAILED) {
        now = memory;
    }
}

int
clock_gettime(clockid_t id, struct timespec *time)
{
    unsigned long  milliseconds;

    switch (id) {

    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_MONOTONIC_RAW:

        if (now != NULL) {
            milliseconds = atomic_load(&now->monotonic);
            time->tv_sec = milliseconds / 1000;
            time->tv_nsec = milliseconds % 1000 * 1000000;
            return 0;
        }
    }

    return syscall(SYS_clock_gettime, id, time);
}

int
gettimeofday(struct timeval *time, void *zone)
{
    unsigned long  milliseconds = now != NULL ? atomic_load(&now->time_of_day) : 0;

    if (milliseconds == 0) {
        return syscall(SYS_gettimeofday, time, zone);
    }

    time->tv_sec = milliseconds / 1000;
    time->tv_usec = milliseconds % 1000 * 1000;

    return 0;
}

/*
 * Loaded into nginx before libc, by tests only: it makes the n-th allocation of a worker fail, and
 * cuts reads and writes of sockets short, as a test demands through a shared file. A full machine
 * and a slow network do the same, but not on demand.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* The shared file; tests/common/preload.rs knows the order of the words. */
struct control {
    atomic_long  allocations_left; /* the allocation that takes it to 0 fails; at 0: none does */
    atomic_long  failed;
    atomic_long  short_io;
    atomic_long  shortened;
};

static struct control  *control;
static pid_t            master;

static ssize_t (*real_recv)(int, void *, size_t, int);
static ssize_t (*real_send)(int, const void *, size_t, int);
static ssize_t (*real_read)(int, void *, size_t);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_readv)(int, const struct iovec *, int);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static int (*real_epoll_ctl)(int, int, int, struct epoll_event *);

__attribute__((constructor)) static void
start(void)
{
    const char  *path = getenv("NGX_SMART_PRELOAD_CONTROL");
    int          file;
    void        *memory;

    real_recv = dlsym(RTLD_NEXT, "recv");
    real_send = dlsym(RTLD_NEXT, "send");
    real_read = dlsym(RTLD_NEXT, "read");
    real_write = dlsym(RTLD_NEXT, "write");
    real_readv = dlsym(RTLD_NEXT, "readv");
    real_writev = dlsym(RTLD_NEXT, "writev");
    real_epoll_ctl = dlsym(RTLD_NEXT, "epoll_ctl");

    master = getpid();

    file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file == -1) {
        return;
    }

    memory = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);

    if (memory != MAP_FAILED) {
        control = memory;
    }
}


/* Allocations. glibc's own names spare us the search for the real ones, which allocates. */

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static int
allocation_fails(void)
{
    long  left;

    if (control == NULL || getpid() == master) {
        return 0;
    }

    left = atomic_load(&control->allocations_left);
    while (left > 0) {
        if (atomic_compare_exchange_weak(&control->allocations_left, &left, left - 1)) {
            if (left > 1) {
                return 0;
            }
            atomic_fetch_add(&control->failed, 1);
            errno = ENOMEM;
            return 1;
        }
    }

    return 0;
}

void *
malloc(size_t size)
{
    return allocation_fails() ? NULL : __libc_malloc(size);
}

void *
calloc(size_t count, size_t size)
{
    return allocation_fails() ? NULL : __libc_calloc(count, size);
}

void *
realloc(void *memory, size_t size)
{
    return allocation_fails() ? NULL : __libc_realloc(memory, size);
}

void *
memalign(size_t alignment, size_t size)
{
    return allocation_fails() ? NULL : __libc_memalign(alignment, size);
}

void *
aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

int
posix_memalign(void **memory, size_t alignment, size_t size)
{
    *memory = memalign(alignment, size);
    return *memory ? 0 : ENOMEM;
}


/*
 * Short reads and writes. A server on edge-triggered epoll may conclude from a short read that
 * nothing is left, and wait for the next edge; so what the descriptor is registered for is
 * remembered, and registered again after each cut: the rest then comes with an edge of its own.
 */

#define DESCRIPTORS  4096
#define LONGEST      16

static struct {
    int                 epoll;
    struct epoll_event  event;
} interests[DESCRIPTORS];

int
epoll_ctl(int epoll, int operation, int descriptor, struct epoll_event *event)
{
    if (event != NULL && operation != EPOLL_CTL_DEL && descriptor < DESCRIPTORS) {
        interests[descriptor].epoll = epoll;
        interests[descriptor].event = *event;
    }

    return real_epoll_ctl(epoll, operation, descriptor, event);
}

/* How much of `size` this call may carry: every other call is cut. */
static size_t
allowance(int descriptor, size_t size)
{
    static unsigned  turn;
    struct stat      status;

    if (control == NULL || !atomic_load(&control->short_io) || getpid() == master
        || size < 2 || descriptor >= DESCRIPTORS
        || fstat(descriptor, &status) == -1 || !S_ISSOCK(status.st_mode))
    {
        return size;
    }

    turn = turn * 1103515245 + 12345;
    if (turn >> 31) {
        return size;
    }

    size = size > LONGEST ? LONGEST : size - 1;
    return 1 + (turn >> 16) % size;
}

static ssize_t
cut(int descriptor, ssize_t done)
{
    int  error = errno;

    if (done > 0 && interests[descriptor].epoll != 0) {
        atomic_fetch_add(&control->shortened, 1);
        real_epoll_ctl(interests[descriptor].epoll, EPOLL_CTL_MOD, descriptor,
                       &interests[descriptor].event);
    }

    errno = error;
    return done;
}

ssize_t
recv(int descriptor, void *buffer, size_t size, int flags)
{
    size_t  allowed = allowance(descriptor, size);

    if (allowed == size || (flags & MSG_PEEK)) {
        return real_recv(descriptor, buffer, size, flags);
    }
    return cut(descriptor, real_recv(descriptor, buffer, allowed, flags));
}

ssize_t
send(int descriptor, const void *buffer, size_t size, int flags)
{
    size_t  allowed = allowance(descriptor, size);

    if (allowed == size) {
        return real_send(descriptor, buffer, size, flags);
    }
    return cut(descriptor, real_send(descriptor, buffer, allowed, flags));
}

ssize_t
read(int descriptor, void *buffer, size_t size)
{
    size_t  allowed = allowance(descriptor, size);

    if (allowed == size) {
        return real_read(descriptor, buffer, size);
    }
    return cut(descriptor, real_read(descriptor, buffer, allowed));
}

ssize_t
write(int descriptor, const void *buffer, size_t size)
{
    size_t  allowed = allowance(descriptor, size);

    if (allowed == size) {
        return real_write(descriptor, buffer, size);
    }
    return cut(descriptor, real_write(descriptor, buffer, allowed));
}

/* The first vector that is not empty. */
static const struct iovec *
first(const struct iovec *vectors, int count)
{
    while (count > 1 && vectors->iov_len == 0) {
        vectors++;
        count--;
    }
    return vectors;
}

ssize_t
readv(int descriptor, const struct iovec *vectors, int count)
{
    const struct iovec  *vector = first(vectors, count);
    size_t               allowed = allowance(descriptor, vector->iov_len);

    if (allowed == vector->iov_len) {
        return real_readv(descriptor, vectors, count);
    }
    return cut(descriptor, real_read(descriptor, vector->iov_base, allowed));
}

ssize_t
writev(int descriptor, const struct iovec *vectors, int count)
{
    const struct iovec  *vector = first(vectors, count);
    size_t               allowed = allowance(descriptor, vector->iov_len);

    if (allowed == vector->iov_len) {
        return real_writev(descriptor, vectors, count);
    }
    return cut(descriptor, real_write(descriptor, vector->iov_base, allowed));
}

/*
 * Loaded into nginx before libc, by tests only: a worker dies at the n-th of the instructions that it
 * executes with the lock of a zone, as it would if somebody killed it at that very moment.
 *
 * nginx with its debug log on writes a line when it takes the lock of a zone, and one when it gives it
 * back. From the first one to the second the processor is told to trap after each instruction; the kernel
 * makes a signal of it, whose handler counts.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

/* The shared file; tests/common/death.rs knows the order of the words. */
struct control {
    atomic_long  instructions_left; /* the one that takes it to 0 is the last; at 0: nobody dies */
};

#define TRAP_FLAG  0x100

static struct control  *control;
static pid_t            master;
static int              within;

static ssize_t (*real_write)(int, const void *, size_t);

__attribute__((constructor)) static void
start(void)
{
    const char  *path = getenv("NGX_SMART_DEATH_CONTROL");
    int          file;
    void        *memory;

    real_write = dlsym(RTLD_NEXT, "write");
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

static void
step(int signal, siginfo_t *info, void *context)
{
    (void) signal;
    (void) info;

    ucontext_t  *processor = context;
    long         left = within ? atomic_load(&control->instructions_left) : 0;

    while (left > 0
           && !atomic_compare_exchange_weak(&control->instructions_left, &left, left - 1))
    {
        /* another worker counts as well */
    }

    /* Where nobody is to die any more a worker goes on at its own speed: it may have a room to mend. */

    if (left <= 0) {
        processor->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
        return;
    }

    processor->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;

    if (left == 1) {
        kill(getpid(), SIGKILL);
    }
}

static int
ends_with(const char *text, size_t size, const char *end)
{
    size_t  length = strlen(end);

    return size >= length && memcmp(text + size - length, end, length) == 0;
}

ssize_t
write(int descriptor, const void *buffer, size_t size)
{
    ssize_t           written = real_write(descriptor, buffer, size);
    struct sigaction  action;

    if (control == NULL || getpid() == master) {
        return written;
    }

    if (ends_with(buffer, size, "shmtx unlock\n")) {
        within = 0;

    } else if (ends_with(buffer, size, "shmtx lock\n")
               && atomic_load(&control->instructions_left) > 0)
    {
        memset(&action, 0, sizeof(action));
        action.sa_sigaction = step;
        action.sa_flags = SA_SIGINFO;
        sigaction(SIGTRAP, &action, NULL);
        within = 1;
        raise(SIGTRAP);
    }

    return written;
}

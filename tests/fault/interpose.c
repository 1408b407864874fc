/*
 * A library for LD_PRELOAD that makes the system fail: writing, syncing, memory, threads, and the clock. Built by meson
 * as libfault.so; used by tests/fault/faults.py.
 *
 * A file that the test and the daemon share ($MODPROP_FAULTS) says what fails and how often, so that a test can change
 * it while the daemon runs. A rate is a chance in a million for each call; which calls fail depends only on the seed
 * and on the number of the call. Only files whose path starts with $MODPROP_FAULTS_ROOT fail. Memory fails for the
 * daemon itself, if `own` is set, else for every library too.
 *
 * It also records what reached the disk: with $MODPROP_FAULTS_JOURNAL each write, truncation and sync of such a file,
 * in order, becomes a record. From these a test reconstructs what a power cut may have left: everything up to the last
 * sync, and any part of what came later. See tests/fault/test_power.py.
 *
 * If $MODPROP_FAULTS_POLL names uv_poll_init or uv_poll_start, that function of libuv fails as it does when out of
 * memory.
 *
 * If $MODPROP_FAULTS_LINKS is "none", no hard link can be made; if it is "neither", nothing can be renamed without
 * replacing either.
 *
 * Rejected: a hook in the daemon (it would be in the product); seccomp (a filter cannot count); fuse or dm-flakey (need
 * a kernel and rights that a test machine may lack).
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { WRITE, SYNC, MEMORY, THREAD, KINDS };

/* The layout that tests/fault/faults.py knows, in 64-bit numbers. */
struct faults {
    _Atomic int64_t seed, rate[KINDS], error[KINDS]; /* error: errno of write and sync */
    _Atomic int64_t clock;                           /* nanoseconds that CLOCK_REALTIME is off */
    _Atomic int64_t own;
    _Atomic int64_t calls[KINDS], failed[KINDS]; /* written here */
};

static struct faults none, *faults = &none;
static int journal = -1;
static char root[PATH_MAX];
static uintptr_t own_from, own_to;
static _Atomic bool ready;

/* ---- deciding ---- */

static uint64_t mix(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static bool fails(int kind) {
    int64_t rate = ready ? atomic_load(&faults->rate[kind]) : 0;
    if (rate == 0) {
        return false;
    }
    uint64_t call = (uint64_t)atomic_fetch_add(&faults->calls[kind], 1);
    uint64_t stream = mix((uint64_t)atomic_load(&faults->seed) * KINDS + (uint64_t)kind);
    bool fail = mix(stream + call * 0x9e3779b97f4a7c15u) % 1000000 < (uint64_t)rate;
    if (fail) {
        atomic_fetch_add(&faults->failed[kind], 1);
    }
    return fail;
}

/* The path of a file below the root, relative to it; false: it is not below the root. */
static bool path_of(int descriptor, char path[PATH_MAX]) {
    char link[64];
    if (!ready || root[0] == '\0') {
        return false;
    }
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    size_t head = strlen(root);
    path[length < 0 ? 0 : length] = '\0';
    if (length < 0 || strncmp(path, root, head) != 0) {
        return false;
    }
    memmove(path, path + head, strlen(path + head) + 1);
    return true;
}

/* The first object is the program itself. */
static int own_find(struct dl_phdr_info *info, size_t size, void *user) {
    (void)size;
    (void)user;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type == PT_LOAD && (info->dlpi_phdr[i].p_flags & PF_X) != 0) {
            own_from = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
            own_to = own_from + info->dlpi_phdr[i].p_memsz;
        }
    }
    return 1;
}

__attribute__((constructor)) static void begin(void) {
    const char *control = getenv("MODPROP_FAULTS"), *below = getenv("MODPROP_FAULTS_ROOT"),
               *records = getenv("MODPROP_FAULTS_JOURNAL");
    int descriptor = control == NULL ? -1 : (int)syscall(SYS_openat, AT_FDCWD, control, O_RDWR | O_CLOEXEC);
    if (descriptor >= 0) {
        void *mapped = mmap(NULL, sizeof *faults, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
        close(descriptor);
        faults = mapped == MAP_FAILED ? &none : mapped;
    }
    if (records != NULL) {
        journal = (int)syscall(SYS_openat, AT_FDCWD, records, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    }
    snprintf(root, sizeof root, "%s", below == NULL ? "" : below);
    dl_iterate_phdr(own_find, NULL);
    ready = true;
}

/* ---- the journal ---- */

/* One record: kind, path, offset, size, bytes. One write, so that records of several threads do not mix; under the
 * lock, so that their order is that of the calls. */
static pthread_mutex_t recording = PTHREAD_MUTEX_INITIALIZER;

static void record(char kind, const char *path, int64_t offset, const void *bytes, size_t size) {
    char head[PATH_MAX + 64];
    int length = snprintf(head, sizeof head, "%c %lld %zu %zu\n%s", kind, (long long)offset, strlen(path), size, path);
    struct iovec {
        const void *base;
        size_t size;
    } parts[2] = {{head, (size_t)length}, {bytes, bytes == NULL ? 0 : size}};
    if (journal >= 0) {
        (void)!syscall(SYS_writev, journal, parts, bytes == NULL ? 1 : 2);
    }
}

static void journal_lock(void) {
    if (journal >= 0) {
        pthread_mutex_lock(&recording);
    }
}

static void journal_unlock(void) {
    if (journal >= 0) {
        pthread_mutex_unlock(&recording);
    }
}

/* ---- files ---- */

static ssize_t write_or_fail(int descriptor, const void *bytes, size_t size, int64_t offset) {
    char path[PATH_MAX];
    bool ours = path_of(descriptor, path);
    if (ours && fails(WRITE)) {
        errno = (int)atomic_load(&faults->error[WRITE]);
        return -1;
    }
    journal_lock();
    int64_t at = offset < 0 && ours && journal >= 0 ? (int64_t)lseek(descriptor, 0, SEEK_CUR) : offset;
    ssize_t written = offset < 0 ? syscall(SYS_write, descriptor, bytes, size)
                                 : syscall(SYS_pwrite64, descriptor, bytes, size, offset);
    int kept = errno;
    if (ours && written > 0) {
        record('w', path, at, bytes, (size_t)written);
    }
    journal_unlock();
    errno = kept;
    return written;
}

ssize_t write(int descriptor, const void *bytes, size_t size) {
    return write_or_fail(descriptor, bytes, size, -1);
}

ssize_t pwrite(int descriptor, const void *bytes, size_t size, off_t offset) {
    return write_or_fail(descriptor, bytes, size, offset);
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t size, off_t offset) {
    return write_or_fail(descriptor, bytes, size, offset);
}

static int sync_or_fail(int descriptor, long call) {
    char path[PATH_MAX];
    bool ours = path_of(descriptor, path);
    if (ours && fails(SYNC)) {
        errno = (int)atomic_load(&faults->error[SYNC]);
        return -1;
    }
    journal_lock();
    int result = (int)syscall(call, descriptor), kept = errno;
    if (ours && result == 0) {
        record('s', path, 0, NULL, 0);
    }
    journal_unlock();
    errno = kept;
    return result;
}

int fsync(int descriptor) {
    return sync_or_fail(descriptor, SYS_fsync);
}

int fdatasync(int descriptor) {
    return sync_or_fail(descriptor, SYS_fdatasync);
}

int ftruncate(int descriptor, off_t size) {
    char path[PATH_MAX];
    bool ours = path_of(descriptor, path);
    journal_lock();
    int result = (int)syscall(SYS_ftruncate, descriptor, size), kept = errno;
    if (ours && result == 0) {
        record('t', path, size, NULL, 0);
    }
    journal_unlock();
    errno = kept;
    return result;
}

int ftruncate64(int descriptor, off_t size) {
    return ftruncate(descriptor, size);
}

int unlink(const char *path) {
    size_t head = strlen(root);
    journal_lock();
    int result = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0), kept = errno;
    if (ready && head > 0 && result == 0 && strncmp(path, root, head) == 0) {
        record('u', path + head, 0, NULL, 0);
    }
    journal_unlock();
    errno = kept;
    return result;
}

/* ---- names ---- */

int link(const char *from, const char *to) {
    if (getenv("MODPROP_FAULTS_LINKS") != NULL) {
        errno = EPERM;
        return -1;
    }
    return (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
    const char *links = getenv("MODPROP_FAULTS_LINKS");
    if (flags != 0 && links != NULL && strcmp(links, "neither") == 0) {
        errno = EINVAL;
        return -1;
    }
    return (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
}

/* ---- memory, threads, time ---- */

/*
 * The next allocator in line: glibc's, or a sanitizer's. Looking it up must not allocate, or would come back here; it
 * does not.
 */
static void *next_find(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (found == NULL) {
        abort();
    }
    return found;
}

static bool memory_fails(const void *caller) {
    uintptr_t at = (uintptr_t)caller;
    bool asked = ready && atomic_load(&faults->rate[MEMORY]) != 0 &&
                 (atomic_load(&faults->own) == 0 || (at >= own_from && at < own_to));
    if (!asked || !fails(MEMORY)) {
        return false;
    }
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size) {
    static void *(*next)(size_t);
    if (next == NULL) {
        void *found = next_find("malloc");
        memcpy(&next, &found, sizeof next);
    }
    return memory_fails(__builtin_return_address(0)) ? NULL : next(size);
}

void *calloc(size_t count, size_t size) {
    static void *(*next)(size_t, size_t);
    if (next == NULL) {
        void *found = next_find("calloc");
        memcpy(&next, &found, sizeof next);
    }
    return memory_fails(__builtin_return_address(0)) ? NULL : next(count, size);
}

void *realloc(void *old, size_t size) {
    static void *(*next)(void *, size_t);
    if (next == NULL) {
        void *found = next_find("realloc");
        memcpy(&next, &found, sizeof next);
    }
    return memory_fails(__builtin_return_address(0)) ? NULL : next(old, size);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *user) {
    static int (*next)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (next == NULL) {
        void *found = next_find("pthread_create");
        memcpy(&next, &found, sizeof next);
    }
    return fails(THREAD) ? EAGAIN : next(thread, attributes, run, user);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = (int)syscall(SYS_clock_gettime, clock, time);
    int64_t off = ready && clock == CLOCK_REALTIME ? atomic_load(&faults->clock) : 0;
    if (result == 0 && off != 0) {
        int64_t now = (int64_t)time->tv_sec * 1000000000 + time->tv_nsec + off;
        time->tv_sec = now / 1000000000;
        time->tv_nsec = now % 1000000000;
    }
    return result;
}

/* ---- libuv ---- */

int uv_poll_init(void *loop, void *handle, int descriptor);
int uv_poll_start(void *handle, int events, void *callback);

static bool poll_fails(const char *name) {
    const char *wanted = getenv("MODPROP_FAULTS_POLL");
    return wanted != NULL && strcmp(wanted, name) == 0;
}

int uv_poll_init(void *loop, void *handle, int descriptor) {
    int (*next)(void *, void *, int);
    void *found = dlsym(RTLD_NEXT, "uv_poll_init");
    memcpy(&next, &found, sizeof next);
    return poll_fails("uv_poll_init") ? -ENOMEM : next(loop, handle, descriptor);
}

int uv_poll_start(void *handle, int events, void *callback) {
    int (*next)(void *, int, void *);
    void *found = dlsym(RTLD_NEXT, "uv_poll_start");
    memcpy(&next, &found, sizeof next);
    return poll_fails("uv_poll_start") ? -ENOMEM : next(handle, events, callback);
}

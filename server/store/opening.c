/*
 * Opening the store: the data directory and its lock, the database, its checks and its migration; and the marks of how
 * the last daemon ended. Nothing is written before the database is known to be ours and intact. See store.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/store/internal.h"
#include "server/store/schema.h"

#define WHAT_TO_DO                                                                                                     \
    "restore it from a backup, or, to start afresh, move it away with all files whose names start with its own"
#define LOG_PAGES 1000 /* of the write-ahead log, before it is copied into the database */

static bool path_join(char path[4096], const char *directory, const char *name, char *error) {
    if (snprintf(path, 4096, "%s/%s", directory, name) >= 4096) {
        snprintf(error, STORE_ERROR_BYTES, "the path of the data directory is too long");
        return false;
    }
    return true;
}

static bool directory_lock(struct store *store, const char *directory, char *error) {
    char path[4096], owner[32] = "";
    if (!path_join(path, directory, "lock", error)) {
        return false;
    }
    store->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (store->lock < 0) {
        if (errno == EACCES || errno == EPERM || errno == EROFS) {
            snprintf(error, STORE_ERROR_BYTES, "--data: %.300s cannot be written by this user (its file lock: %s)",
                     directory, strerror(errno));
        } else {
            snprintf(error, STORE_ERROR_BYTES, "cannot open %.300s: %s", path, strerror(errno));
        }
        return false;
    }
    if (flock(store->lock, LOCK_EX | LOCK_NB) != 0) {
        ssize_t got = read(store->lock, owner, sizeof owner - 1);
        owner[got > 0 ? got : 0] = '\0';
        owner[strcspn(owner, " \n")] = '\0';
        snprintf(error, STORE_ERROR_BYTES,
                 "the data directory %.300s belongs to a running modpropd%s%s; stop that one or give another --data",
                 directory, *owner != '\0' ? ", process " : "", owner);
        return false;
    }
    /* always the same length, over what is there: a full disk has no free block for it */
    int length = snprintf(owner, sizeof owner, "%-20ld\n", (long)getpid());
    if (pwrite(store->lock, owner, (size_t)length, 0) != length || ftruncate(store->lock, length) != 0) {
        snprintf(error, STORE_ERROR_BYTES, "cannot write %.300s: %s", path, strerror(errno));
        return false;
    }
    return true;
}

/* A new file is durable once its directory is. EINVAL: a file system that does not support this. */
static bool directory_sync(const char *directory, char *error) {
    int descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool done = descriptor >= 0 && (fsync(descriptor) == 0 || errno == EINVAL);
    if (!done) {
        snprintf(error, STORE_ERROR_BYTES, "the data directory %.300s cannot be made durable: %s", directory,
                 strerror(errno));
    }
    if (descriptor >= 0) {
        close(descriptor);
    }
    return done;
}

static bool database_fail(struct store *store, const char *path, const char *what, char *error) {
    int code = sqlite3_errcode(store->database) & 0xff;
    if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB) {
        snprintf(error, STORE_ERROR_BYTES, "the database %.200s is damaged (%s); nothing was changed: " WHAT_TO_DO,
                 path, sqlite3_errmsg(store->database));
    } else {
        snprintf(error, STORE_ERROR_BYTES, "cannot %s the database %.300s: %s", what, path,
                 sqlite3_errmsg(store->database));
    }
    return false;
}

static int check_row(void *user, int columns, char **values, char **names) {
    (void)names;
    *(bool *)user = columns == 1 && values[0] != NULL && strcmp(values[0], "ok") == 0;
    return 0;
}

/*
 * SQLite takes an empty file with a log beside it for a new database and deletes the log, which holds committed data.
 */
static bool log_has_its_database(const char *path, char *error) {
    char log[4096 + 8];
    struct stat database, status;
    snprintf(log, sizeof log, "%s-wal", path);
    if ((stat(path, &database) == 0 && database.st_size > 0) || stat(log, &status) != 0 || status.st_size == 0) {
        return true;
    }
    snprintf(error, STORE_ERROR_BYTES,
             "the database %.200s is missing or empty, and its log is there; nothing was changed: " WHAT_TO_DO, path);
    return false;
}

/* Whether the database is one of ours, and intact. Nothing is written before this is known. */
static bool database_check(struct store *store, const char *path, int *version, char *error) {
    bool whole = false;
    *version = schema_version(store->database);
    if (*version > SCHEMA_VERSION) {
        snprintf(error, STORE_ERROR_BYTES,
                 "the database %.300s was written by a newer modprop (schema %d; this one knows %d): use that version",
                 path, *version, SCHEMA_VERSION);
        return false;
    }
    if (*version < 0 || sqlite3_exec(store->database, "PRAGMA quick_check(1)", check_row, &whole, NULL) != SQLITE_OK) {
        return database_fail(store, path, "read", error);
    }
    whole = whole && (*version == 0 || statuses_are_known(store->database));
    if (!whole) {
        snprintf(error, STORE_ERROR_BYTES, "the database %.200s is damaged; nothing was changed: " WHAT_TO_DO, path);
    }
    return whole;
}

/*
 * Removing the lock file must not let a second daemon in: the database itself is locked too, with a lock that SQLite
 * does not use. The descriptor is closed last, because closing it ends the locks that SQLite holds on the file.
 */
static bool database_lock(struct store *store, const char *path, const char *directory, char *error) {
    store->database_lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    bool locked = store->database_lock >= 0 && flock(store->database_lock, LOCK_EX | LOCK_NB) == 0;
    if (!locked && errno == EWOULDBLOCK) {
        snprintf(error, STORE_ERROR_BYTES,
                 "the database in %.300s belongs to a running modpropd; stop that one or give another --data",
                 directory);
    } else if (!locked) {
        snprintf(error, STORE_ERROR_BYTES, "cannot open the database %.300s: %s", path, strerror(errno));
    }
    return locked;
}

static bool database_open(struct store *store, const char *directory, char *error) {
    char path[4096];
    int version = 0;
    if (!path_join(path, directory, "modprop.db", error) || !log_has_its_database(path, error)) {
        return false;
    }
    mode_t kept = umask(0077);
    if (!database_lock(store, path, directory, error)) {
        umask(kept);
        return false;
    }
    int result = sqlite3_open_v2(path, &store->database,
                                 SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (result == SQLITE_OK) {
        sqlite3_busy_timeout(store->database, BUSY_MILLISECONDS);
        schema_distrust(store->database);
    }
    /* closing copies the log into the database: not into a damaged one */
    bool opened = result == SQLITE_OK &&
                  sqlite3_db_config(store->database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL) == SQLITE_OK;
    opened = opened ? database_check(store, path, &version, error) : database_fail(store, path, "open", error);
    static const char settings[] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-8192; "
                                   "PRAGMA journal_size_limit=8388608";
    if (opened && sqlite3_exec(store->database, settings, NULL, NULL, NULL) != SQLITE_OK) {
        opened = database_fail(store, path, "open", error);
    }
    umask(kept);
    if (!opened) {
        return false;
    }
    sqlite3_db_config(store->database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    /* half of the reserve is enough space for what the log adds to the database */
    int64_t pages = store->reserve.bytes / 2 / PAGE_BYTES;
    sqlite3_wal_autocheckpoint(store->database, pages < LOG_PAGES ? (int)pages : LOG_PAGES);
    if (!schema_migrate(store->database, version)) {
        return database_fail(store, path, "prepare", error);
    }
    if (!writer_prepare(store)) {
        return database_fail(store, path, "prepare", error);
    }
    store->purging = store->counts.purging = true; /* until it has checked */
    return directory_sync(directory, error);
}

/* Opening writes a little too: on a full disk into the space of the reserve. */
static bool reserve_open(struct store *store, const char *directory, char *error) {
    if (!reserve_init(&store->reserve, directory) || !stops_init(&store->stops, directory)) {
        snprintf(error, STORE_ERROR_BYTES, "the path of the data directory is too long");
        return false;
    }
    if (reserve_disk_free(&store->reserve) < store->reserve.bytes) {
        reserve_release(&store->reserve);
    }
    return true;
}

struct store *store_open(const char *directory, struct loop *loop, char error[STORE_ERROR_BYTES]) {
    struct store *store = calloc(1, sizeof *store);
    if (store == NULL) {
        snprintf(error, STORE_ERROR_BYTES, "out of memory");
        return NULL;
    }
    store->loop = loop;
    store->lock = store->database_lock = store->stops.descriptor = -1;
    store->last = &store->first;
    pthread_mutex_init(&store->mutex, NULL);
    histogram_init(&store->counts.commit, latency_bounds, latency_buckets);
    histogram_init(&store->counts.sync, latency_bounds, latency_buckets);
    pthread_cond_init(&store->wake, NULL);
    pthread_cond_init(&store->idle, NULL);
    if (!directory_lock(store, directory, error) || !reserve_open(store, directory, error) ||
        !database_open(store, directory, error)) {
        store_close(store);
        return NULL;
    }
    room_look(store);
    if (!writer_start(store)) {
        snprintf(error, STORE_ERROR_BYTES, "cannot start the store's writer thread");
        store_close(store);
        return NULL;
    }
    return store;
}

void store_close(struct store *store) {
    if (store == NULL) {
        return;
    }
    if (store->writing) {
        writer_stop(store);
        /*
         * readers are still open, so closing alone would leave the log: after a shutdown there is one file, which may
         * be copied
         */
        sqlite3_exec(store->database, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL);
    }
    writer_release(store);
    sqlite3_close(store->database);
    if (store->database_lock >= 0) {
        close(store->database_lock);
    }
    if (store->lock >= 0) {
        close(store->lock);
    }
    stops_release(&store->stops);
    pthread_cond_destroy(&store->wake);
    pthread_cond_destroy(&store->idle);
    pthread_mutex_destroy(&store->mutex);
    free(store);
}

void store_crash_mark_take(const char *directory, char job[STORE_ID_BYTES]) {
    char path[4096], error[STORE_ERROR_BYTES];
    job[0] = '\0';
    if (!path_join(path, directory, "crashed", error)) {
        return;
    }
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = descriptor >= 0 ? read(descriptor, job, STORE_ID_BYTES - 1) : -1;
    job[size > 0 ? size : 0] = '\0';
    job[strcspn(job, "\n")] = '\0';
    if (descriptor >= 0) {
        close(descriptor);
    }
    (void)unlink(path);
}

int store_crash_mark_open(const char *directory) {
    char path[4096], error[STORE_ERROR_BYTES];
    if (!path_join(path, directory, "crashed", error)) {
        return -1;
    }
    return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
}

void store_mark_stopped(int mark) {
    /* where it cannot be written this counts as one kill, and it takes ten to hold a job */
    ssize_t written = mark >= 0 ? write(mark, STORE_STOPPED "\n", sizeof STORE_STOPPED) : 0;
    (void)written;
}

/* Pools of workers on a cluster: see pools.h. */
#include "clients/cli/pools.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "clients/cli/memory.h"
#include "clients/cli/report.h"

#define WORDS_MOST 64
#define STRAY_SECONDS 60
/* Ends that say nothing against the worker, which has left the daemon's list by then: it had no work, or was stopped.
 */
#define NO_FAULT "COMPLETED COMPLETING CANCELLED PREEMPTED NODE_FAIL REVOKED"

/* ---- keys ---- */

static const struct {
    struct option option;
    size_t offset;
    const char *fallback;
} keys[] = {
#define KEY(name, type, value, low, high, fallback)                                                                    \
    {{#name, 0, type, value, low, high, false, NULL}, offsetof(struct pool, name), fallback}
    KEY(kind, OPTION_TEXT, "slurm", 0, 0, "slurm"),
    KEY(max_workers, OPTION_INTEGER, "N", 1, 100000, "10"),
    KEY(backlog, OPTION_INTEGER, "N", 1, 100, "2"),
    KEY(slots, OPTION_INTEGER, "N", 1, 1000, "1"),
    KEY(cores, OPTION_INTEGER, "N", 1, 4096, "1"),
    KEY(memory, OPTION_BYTES, "BYTES", 1 << 20, INT64_MAX, "2G"),
    KEY(walltime, OPTION_SECONDS, "SECONDS", 240, 31536000, "4h"),
    KEY(idle, OPTION_SECONDS, "SECONDS", 1, 86400, "2m"),
    KEY(poll, OPTION_SECONDS, "SECONDS", 1, 3600, "60"),
    KEY(sbatch_args, OPTION_TEXT, "WORDS", 0, 0, NULL),
    KEY(isa, OPTION_TEXT, "NAME", 0, 0, NULL),
    KEY(scratch, OPTION_TEXT, "DIR", 0, 0, NULL),
    KEY(program, OPTION_FILE, "FILE", 0, 0, NULL),
    KEY(token_file, OPTION_FILE, "FILE", 0, 0, NULL),
    KEY(output, OPTION_FILE, "FILE", 0, 0, NULL),
    KEY(server, OPTION_TEXT, "URL", 0, 0, NULL),
#undef KEY
};

#define KEYS (sizeof keys / sizeof keys[0])

static char *home_path(const char *value) {
    const char *home = getenv("HOME");
    return strncmp(value, "~/", 2) == 0 && home != NULL ? memory_format("%s%s", home, value + 1) : memory_copy(value);
}

static enum status key_set(struct pool *pool, size_t key, const char *value, const char *origin) {
    void *field = (char *)pool + keys[key].offset;
    char fault[OPTION_FAULT_BYTES];
    int64_t number;
    if (!option_read_value(&keys[key].option, origin, value, &number, fault)) {
        return report_error(STATUS_USAGE, "%s", fault);
    }
    switch (keys[key].option.type) {
    case OPTION_TEXT:
    case OPTION_FILE:
        free(*(char **)field);
        *(char **)field = keys[key].option.type == OPTION_FILE ? home_path(value) : memory_copy(value);
        break;
    default:
        *(int64_t *)field = number;
    }
    return STATUS_OK;
}

static enum status line_take(struct pool *pool, const struct pool_setting *line) {
    for (size_t i = 0; i < KEYS; i++) {
        if (strcmp(line->key, keys[i].option.name) == 0) {
            return key_set(pool, i, line->value, line->origin);
        }
    }
    struct text known = {0};
    for (size_t i = 0; i < KEYS; i++) {
        text_printf(&known, "%s%s", i == 0 ? "" : ", ", keys[i].option.name);
    }
    enum status status = report_error(STATUS_USAGE, "%s: a pool has no key \"%.60s\"; it has %s", line->origin,
                                      line->key, known.data);
    text_release(&known);
    return status;
}

static enum status pool_check(const struct pool *pool, bool found, const char *file) {
    struct stat file_status;
    if (!found) {
        return report_error(STATUS_USAGE, "there is no pool \"%s\": %s needs lines such as pool.%s.walltime = 4h",
                            pool->name, file == NULL ? "the configuration file" : file, pool->name);
    }
    if (strcmp(pool->kind, "slurm") != 0) {
        return report_error(STATUS_USAGE, "pool.%s.kind must be slurm; got \"%s\"", pool->name, pool->kind);
    }
    if (pool->program == NULL || pool->token_file == NULL) {
        return report_error(STATUS_USAGE, "pool.%s.%s is required: %s, on a file system that the nodes share",
                            pool->name, pool->program == NULL ? "program" : "token_file",
                            pool->program == NULL ? "modpropd as the nodes find it" : "the file of a worker's token");
    }
    if (*pool->program != '/' || *pool->token_file != '/') {
        return report_error(STATUS_USAGE, "pool.%s.program and pool.%s.token_file must begin with / or ~/", pool->name,
                            pool->name);
    }
    if (stat(pool->token_file, &file_status) == 0 && (file_status.st_mode & 077) != 0) {
        return report_error(STATUS_USAGE, "others may read %s; run chmod 600 on it", pool->token_file);
    }
    return STATUS_OK;
}

enum status pool_read(const struct settings *settings, const char *name, struct pool *pool) {
    enum status status = STATUS_OK;
    bool found = false;
    *pool = (struct pool){.name = name};
    for (size_t i = 0; i < KEYS && status == STATUS_OK; i++) {
        status = keys[i].fallback != NULL ? key_set(pool, i, keys[i].fallback, "") : STATUS_OK;
    }
    for (const struct pool_setting *line = settings->pools; line != NULL && status == STATUS_OK; line = line->next) {
        if (strcmp(line->pool, name) == 0) {
            found = true;
            status = line_take(pool, line);
        }
    }
    return status == STATUS_OK ? pool_check(pool, found, settings->file) : status;
}

void pool_release(struct pool *pool) {
    for (size_t i = 0; i < KEYS; i++) {
        if (keys[i].option.type == OPTION_TEXT || keys[i].option.type == OPTION_FILE) {
            free(*(char **)(void *)((char *)pool + keys[i].offset));
        }
    }
    *pool = (struct pool){0};
}

/* ---- allocations ---- */

static bool is_one_of(const char *word, const char *words) {
    size_t length = strlen(word);
    for (const char *at = words; (at = strstr(at, word)) != NULL; at += length) {
        if ((at == words || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0')) {
            return true;
        }
    }
    return false;
}

static bool allocation_read(char *line, struct allocation *allocation) {
    char *rest = line, *id = strsep(&rest, "|"), *state = strsep(&rest, "|"), *reason = strsep(&rest, "|");
    if (rest == NULL || *id < '0' || *id > '9' || *state == '\0') {
        return false;
    }
    *allocation = (struct allocation){0};
    snprintf(allocation->id, sizeof allocation->id, "%s", id);
    snprintf(allocation->state, sizeof allocation->state, "%s", state);
    snprintf(allocation->reason, sizeof allocation->reason, "%s", reason);
    allocation->pending = is_one_of(state, "PENDING REQUEUED REQUEUE_HOLD REQUEUE_FED RESV_DEL_HOLD SPECIAL_EXIT");
    allocation->live = is_one_of(state, "RUNNING CONFIGURING SUSPENDED STOPPED RESIZING SIGNALING STAGE_OUT");
    return true;
}

static int by_id(const void *a, const void *b) {
    long long left = strtoll(((const struct allocation *)a)->id, NULL, 10);
    long long right = strtoll(((const struct allocation *)b)->id, NULL, 10);
    return (left > right) - (left < right);
}

bool allocations_read(const char *text, struct allocations *allocations) {
    char *copy = memory_copy(text), *rest = copy;
    bool good = true;
    *allocations = (struct allocations){0};
    for (char *line; good && rest != NULL && (line = strsep(&rest, "\n")) != NULL;) {
        if (*line == '\0') {
            continue;
        }
        allocations->items = memory_resize(allocations->items, allocations->count + 1, sizeof *allocations->items);
        struct allocation *allocation = &allocations->items[allocations->count];
        good = allocation_read(line, allocation);
        allocations->count += good;
        allocations->pending += good && allocation->pending;
        allocations->live += good && allocation->live;
    }
    free(copy);
    if (!good) {
        allocations_release(allocations);
    } else if (allocations->count > 1) {
        qsort(allocations->items, allocations->count, sizeof *allocations->items, by_id);
    }
    return good;
}

void allocations_release(struct allocations *allocations) {
    free(allocations->items);
    *allocations = (struct allocations){0};
}

int pool_decide(const struct pool *pool, const struct allocations *allocations, int64_t wanted) {
    int64_t needed = wanted < pool->max_workers ? wanted : pool->max_workers;
    int64_t pending = (int64_t)allocations->pending, there = pending + (int64_t)allocations->live;
    if (there > needed) {
        int64_t surplus = there - needed;
        return -(int)(surplus < pending ? surplus : pending);
    }
    int64_t missing = needed - there, room = pool->backlog - pending;
    return room <= 0 ? 0 : (int)(missing < room ? missing : room);
}

size_t pool_strangers(const struct allocations *allocations, const json_t *workers) {
    size_t strangers = 0;
    for (size_t i = 0; i < allocations->count; i++) {
        const struct allocation *allocation = &allocations->items[i];
        bool joined = allocation->pending || allocation->live || is_one_of(allocation->state, NO_FAULT);
        char external[64];
        size_t at;
        const json_t *worker;
        snprintf(external, sizeof external, "slurm:%s", allocation->id);
        json_array_foreach((json_t *)(uintptr_t)workers, at, worker) {
            const char *name = json_string_value(json_object_get(worker, "external"));
            joined = joined || (name != NULL && strcmp(name, external) == 0);
        }
        strangers += !joined;
    }
    return strangers;
}

/* ---- submitting ---- */

/* A word in the script, for the shell. */
static void quote(struct text *script, const char *word) {
    text_add(script, "'");
    for (const char *c = word; *c != '\0'; c++) {
        if (*c == '\'') {
            text_add(script, "'\\''");
        } else {
            text_append(script, c, 1);
        }
    }
    text_add(script, "'");
}

static void flag(struct text *script, const char *name, const char *value) {
    if (value != NULL) {
        text_printf(script, " --%s ", name);
        quote(script, value);
    }
}

char *pool_script(const struct pool *pool, const char *server) {
    struct text script = {0};
    text_add(&script, "#!/bin/sh\nPATH=/usr/local/bin:/usr/bin:/bin; export PATH\nexec ");
    quote(&script, pool->program);
    text_add(&script, " worker");
    flag(&script, "server", pool->server != NULL ? pool->server : server);
    flag(&script, "token-file", pool->token_file);
    flag(&script, "pool", pool->name);
    flag(&script, "isa", pool->isa);
    flag(&script, "scratch", pool->scratch);
    text_printf(&script,
                " --external slurm:\"$SLURM_JOB_ID\" --slots %lld --cores %lld --memory %lld --idle %lld"
                " --walltime %lld\n",
                (long long)pool->slots, (long long)pool->cores, (long long)pool->memory / 10 * 9, (long long)pool->idle,
                (long long)pool->walltime - STRAY_SECONDS);
    return script.data;
}

/* The words of a text, at blanks; quotes group, as in a shell. */
static void words_split(char **words, size_t *count, const char *text) {
    while (*count < WORDS_MOST - 1) {
        text += strspn(text, " \t");
        if (*text == '\0') {
            return;
        }
        struct text word = {0};
        text_add(&word, "");
        for (char quoted = '\0'; *text != '\0' && (quoted != '\0' || (*text != ' ' && *text != '\t')); text++) {
            if (quoted == '\0' && (*text == '"' || *text == '\'')) {
                quoted = *text;
            } else if (*text == quoted) {
                quoted = '\0';
            } else {
                text_append(&word, text, 1);
            }
        }
        words[(*count)++] = word.data;
    }
}

char **pool_words(const struct pool *pool, bool test) {
    char **words = memory_allocate(WORDS_MOST, sizeof *words);
    size_t count = 0;
    long long minutes = (pool->walltime + 59) / 60, megabytes = pool->memory >> 20;
    words[count++] = memory_copy("sbatch");
    words[count++] = memory_copy(test ? "--test-only" : "--parsable");
    words[count++] = memory_copy("--no-requeue");
    words[count++] = memory_copy("--export=NONE");
    words[count++] = memory_format("--job-name=modprop-%s", pool->name);
    words[count++] = memory_copy("--ntasks=1");
    words[count++] = memory_format("--cpus-per-task=%lld", (long long)pool->cores);
    words[count++] = memory_format("--mem=%lldM", megabytes);
    words[count++] = memory_format("--time=%lld", minutes);
    words[count++] = memory_copy("--signal=B:TERM@60");
    words[count++] = memory_format("--output=%s", pool->output != NULL ? pool->output : "/dev/null");
    words_split(words, &count, pool->sbatch_args == NULL ? "" : pool->sbatch_args);
    return words;
}

void pool_words_release(char **words) {
    for (size_t i = 0; words[i] != NULL; i++) {
        free(words[i]);
    }
    free(words);
}

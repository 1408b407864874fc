/*
 * `modpropd worker`: its options, from words and from MODPROPD_WORKER_NAME in the environment. The token is read from a
 * file that nobody else can read, and is in no argument and no variable. See command.h.
 */
#include "server/worker/command.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/program.h"
#include "core/base/options.h"
#include "core/kernels/select.h"
#include "server/base/host.h"
#include "server/base/log.h"
#include "server/base/thread.h"
#include "server/worker/agent.h"

#define TOKEN_BYTES_MAX 300
#define PREFIX "MODPROPD_WORKER_"

struct words {
    char *server, *token_file, *ca_file, *pool, *external, *scratch, *isa;
    int64_t slots, cores, memory, idle, walltime, checkpoint, log_format, log_level;
};

#define FIELD(name) offsetof(struct words, name)

static const struct option_row rows[] = {
    {{"server", 0, OPTION_TEXT, "URL", 0, 0, false, "the daemon: http://HOST:PORT or https://HOST:PORT (required)"},
     FIELD(server),
     NULL},
    {{"token-file", 0, OPTION_TEXT, "FILE", 0, 0, false,
      "file that holds a token of the role worker, and that nobody else may read (mode 0600)"},
     FIELD(token_file),
     NULL},
    {{"ca-file", 0, OPTION_TEXT, "FILE", 0, 0, false, "certificates to trust instead of the system's (PEM)"},
     FIELD(ca_file),
     NULL},
    {{"pool", 0, OPTION_TEXT, "NAME", 0, 0, false, "the pool that this worker belongs to"}, FIELD(pool), "default"},
    {{"external", 0, OPTION_TEXT, "NAME", 0, 0, false,
      "what this worker is elsewhere; slurm:ID where Slurm started it"},
     FIELD(external),
     NULL},
    {{"slots", 0, OPTION_INTEGER, "N", 0, POOL_MOST - 16, false, "jobs trained at once; 0 is one per core"},
     FIELD(slots),
     "0"},
    {{"cores", 0, OPTION_INTEGER, "N", 0, 4096, false, "cores shared by them; 0 is all that this process may use"},
     FIELD(cores),
     "0"},
    {{"memory", 0, OPTION_BYTES, "BYTES", 0, INT64_MAX, false,
      "memory for them; 0 is nine tenths of what this process may use"},
     FIELD(memory),
     "0"},
    {{"idle", 0, OPTION_SECONDS, "SECONDS", 0, 31536000, false, "end after so long without work; 0 waits for ever"},
     FIELD(idle),
     "0"},
    {{"walltime", 0, OPTION_SECONDS, "SECONDS", 0, 31536000, false,
      "end in so long: 60 seconds before, jobs write their checkpoints and are given back; 0 sets no bound"},
     FIELD(walltime),
     "0"},
    {{"checkpoint-interval", 0, OPTION_SECONDS, "SECONDS", 0, 3600, false,
      "between two checkpoints that are sent of one job, its last one aside"},
     FIELD(checkpoint),
     "30"},
    {{"scratch", 0, OPTION_TEXT, "DIR", 0, 0, false,
      "directory for what is being sent, and for datasets; on the node's own disk"},
     FIELD(scratch),
     NULL},
    {{"isa", 0, OPTION_TEXT, "NAME", 0, 0, false, "instruction set of the kernels instead of the best the host has"},
     FIELD(isa),
     NULL},
    {{"log-format", 0, OPTION_CHOICE, "text|json", 0, 0, false, "format of log lines on standard error"},
     FIELD(log_format),
     "text"},
    {{"log-level", 0, OPTION_CHOICE, "error|warning|info|debug", 0, 0, false, "lowest level that is logged"},
     FIELD(log_level),
     "info"},
    OPTION_ROWS_END,
};

static_assert(sizeof rows / sizeof rows[0] - 1 <= OPTION_ROWS_MAX, "a table of options");

static int help(void) {
    printf("modpropd worker: trains jobs of a daemon elsewhere, on this machine\n\n"
           "usage: modpropd worker --server URL [--token-file FILE] [--SETTING VALUE ...]\n\n"
           "It asks for jobs, trains them, and sends back what they report; it needs one outbound connection and the "
           "daemon's build.\nEvery setting is also MODPROPD_WORKER_SETTING in the environment; words win.\n\n");
    for (const struct option_row *row = rows; row->option.name != NULL; row++) {
        char line[OPTION_HELP_BYTES];
        option_row_help(row, line);
        printf("%s\n", line);
    }
    printf("\nExit status: 0 when it was stopped or had nothing to do (--idle), 1 for a failure, 2 for bad usage.\n");
    return 0;
}

static int fail(const char *sentence) {
    fprintf(stderr, "modpropd: %s\n", sentence);
    return 2;
}

static bool environment_read(struct words *words, char **environment, char fault[OPTION_FAULT_BYTES]) {
    for (const struct option_row *row = rows; row->option.name != NULL; row++) {
        char name[64];
        const char *value = option_variable_find(&row->option, PREFIX, environment, name);
        if (value != NULL && !option_row_set(row, words, value, name, true, fault)) {
            return false;
        }
    }
    return true;
}

/* -1: go on. */
static int words_read(struct words *words, int count, char **arguments, char **environment) {
    static const char *const stops[] = {"--help", "-h", NULL};
    const char *stop;
    char fault[OPTION_FAULT_BYTES];
    if (!option_rows_default(rows, words, fault) || !environment_read(words, environment, fault) ||
        !option_rows_read_words(rows, "modpropd worker", words, count, arguments, stops, &stop, fault)) {
        return fail(fault);
    }
    if (stop != NULL) {
        return help();
    }
    if (words->server == NULL) {
        return fail("--server is required: the daemon's address, such as https://modprop.lab.example");
    }
    if (strncmp(words->server, "http://", 7) != 0 && strncmp(words->server, "https://", 8) != 0) {
        return fail("--server must begin with http:// or https://");
    }
    return -1;
}

/* The first word of a file that only its owner may read. False after a sentence. */
static bool token_read(const char *path, char token[TOKEN_BYTES_MAX]) {
    struct stat status;
    FILE *file = fopen(path, "re");
    bool read = file != NULL && fstat(fileno(file), &status) == 0;
    token[0] = '\0';
    if (read && (status.st_mode & 077) != 0) {
        fprintf(stderr, "modpropd: --token-file: others may read %s; chmod 600 it\n", path);
        fclose(file);
        return false;
    }
    read = read && fgets(token, TOKEN_BYTES_MAX, file) != NULL;
    token[strcspn(token, "\r\n \t")] = '\0';
    if (file != NULL) {
        fclose(file);
    }
    if (!read || *token == '\0') {
        fprintf(stderr, "modpropd: --token-file: %s %s\n", path, file == NULL ? strerror(errno) : "holds no token");
        return false;
    }
    return true;
}

/* In Slurm's environment the allocation names the worker. */
static const char *external_name(const struct words *words, char **environment, char text[72]) {
    const char *job = variable_find(environment, "SLURM_JOB_ID");
    if (words->external != NULL || job == NULL) {
        return words->external != NULL ? words->external : "";
    }
    snprintf(text, 72, "slurm:%.60s", job);
    return text;
}

/* The directory of a worker that names none: made here, removed at its end. */
static char *scratch_make(char path[PATH_MAX], char **environment) {
    const char *parent = variable_find(environment, "TMPDIR");
    snprintf(path, PATH_MAX, "%.3000s/modprop-worker-XXXXXX", parent != NULL && *parent == '/' ? parent : "/tmp");
    return mkdtemp(path);
}

static int run(const struct words *words, char **environment) {
    char token[TOKEN_BYTES_MAX], external[72], made[PATH_MAX], server[AGENT_SERVER_BYTES];
    int cores = words->cores > 0 ? (int)words->cores : host_cores();
    if (!kernels_select(words->isa)) {
        return fail("--isa must be an instruction set that was built and that this host has (portable, avx2, avx512, "
                    "neon)");
    }
    if (words->token_file != NULL && !token_read(words->token_file, token)) {
        return 1;
    }
    if (words->scratch == NULL && scratch_make(made, environment) == NULL) {
        fprintf(stderr, "modpropd: %s cannot be made: %s; name a directory with --scratch\n", made, strerror(errno));
        return 1;
    }
    snprintf(server, sizeof server, "%s", words->server);
    while (*server != '\0' && server[strlen(server) - 1] == '/') {
        server[strlen(server) - 1] = '\0';
    }
    const struct agent_options agent = {.server = server,
                                        .token = words->token_file == NULL ? NULL : token,
                                        .ca_file = words->ca_file,
                                        .pool = words->pool,
                                        .external = external_name(words, environment, external),
                                        .scratch = words->scratch != NULL ? words->scratch : made,
                                        .slots = words->slots > 0 ? (int)words->slots : cores,
                                        .cores = cores,
                                        .memory = words->memory > 0 ? words->memory : host_memory() / 10 * 9,
                                        .idle = words->idle,
                                        .walltime = words->walltime,
                                        .checkpoint_seconds = words->checkpoint};
    int status = agent_run(&agent);
    if (words->scratch == NULL) {
        rmdir(made);
    }
    explicit_bzero(token, sizeof token);
    return status;
}

int worker_command(int count, char **arguments, char **environment) {
    struct words words = {0};
    int status = words_read(&words, count, arguments, environment);
    if (status < 0) {
        log_configure((enum log_format)words.log_format, (enum log_level)words.log_level);
        status = run(&words, environment);
    }
    option_rows_release(rows, &words);
    return status;
}

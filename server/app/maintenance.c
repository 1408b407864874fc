/*
 * `modpropd verify` and `modpropd backup`: see maintenance.h.
 *
 * Verify trusts nothing that it can compute: it takes a configuration's digest from the document, the events' digest
 * from the events, a checkpoint's from its bytes, the weights' from the newest checkpoint, and with --rerun all numbers
 * from the configuration alone. It reads one snapshot, so that writes by a running daemon are not mistaken for damage.
 * It reports every fault, not only the first.
 *
 * Rejected: repairing. Damaged data are restored from a backup; a tool that guesses would turn a visible fault into a
 * wrong result.
 */
#include "server/app/maintenance.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/event.h"
#include "api/field.h"
#include "api/job.h"
#include "api/printable.h"
#include "core/kernels/select.h"
#include "core/train/train.h"
#include "server/base/config.h"
#include "server/datasets/datasets.h"
#include "server/base/host.h"
#include "server/experiments/curves.h"
#include "server/store/store.h"

#define ARGUMENTS_MOST 32
#define FINDING_COMPARED ((size_t)128 << 20) /* larger ones may have been shortened */

struct command {
    const char *usage;
    const char *operand; /* NULL: none given */
    bool rerun;
    struct config config;
};

static int usage_fail(const struct command *command, const char *sentence) {
    fprintf(stderr, "modpropd: %s\nusage: %s\n", sentence, command->usage);
    return 2;
}

/* Separates the command's own arguments; the rest belong to the configuration. Returns -1, or an exit status. */
static int command_read(struct command *command, bool reruns, int count, char **arguments, char **environment) {
    char error[CONFIG_ERROR_BYTES], *settings[ARGUMENTS_MOST + 1] = {(char[]){"--allow-unauthenticated"}};
    int used = 1;
    if (count >= ARGUMENTS_MOST) {
        return usage_fail(command, "too many arguments");
    }
    for (int i = 0; i < count; i++) {
        bool parted = strcmp(arguments[i], "--data") == 0 || strcmp(arguments[i], "--config") == 0;
        if (reruns && strcmp(arguments[i], "--rerun") == 0) {
            command->rerun = true;
        } else if (strcmp(arguments[i], "--help") == 0) {
            printf("usage: %s\n", command->usage);
            return 0;
        } else if (parted || strncmp(arguments[i], "--data=", 7) == 0 || strncmp(arguments[i], "--config=", 9) == 0) {
            settings[used++] = arguments[i];
            if (parted && i + 1 < count) {
                settings[used++] = arguments[++i];
            }
        } else if (arguments[i][0] == '-') {
            return usage_fail(command, "the only settings allowed here are --data and --config");
        } else if (command->operand != NULL) {
            return usage_fail(command, "more than one operand");
        } else {
            command->operand = arguments[i];
        }
    }
    if (config_read(&command->config, used, settings, environment, error) != CONFIG_OK) {
        return usage_fail(command, error);
    }
    return -1;
}

/* ---- verify ---- */

/* What is known so far about the job being checked. */
struct check {
    struct store_reader *reader;
    struct datasets *datasets;
    const struct store_job *job;
    struct job_spec spec;
    int faults, checkpoints;
    int64_t events, seq;
    char digest[STORE_HASH_BYTES];
    bool ended, opened; /* a terminal event was seen; `spec` can be used */
    int64_t progress;   /* events of evaluations; with --rerun: those made again */
};

struct verification {
    struct store_reader *reader;
    struct datasets *datasets;
    bool rerun;
    int jobs, damaged, rerun_jobs, findings, lost; /* findings that are damaged; damaged counts them too */
};

static void fault(struct check *check, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* One line of the report. A damaged database may hold any text, and a terminal shows it. */
static void say(const char *id, const char *word, const char *format, va_list arguments)
    __attribute__((format(printf, 3, 0)));

static void say(const char *id, const char *word, const char *format, va_list arguments) {
    char sentence[1024], name[STORE_ID_BYTES];
    vsnprintf(sentence, sizeof sentence, format, arguments);
    snprintf(name, sizeof name, "%s", id);
    printable_make(sentence, false);
    printable_make(name, false);
    printf("%s %s%s\n", name, word, sentence);
}

static void fault(struct check *check, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say(check->job->id, "DAMAGED ", format, arguments);
    va_end(arguments);
    check->faults++;
}

static void remark(const struct check *check, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void remark(const struct check *check, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say(check->job->id, "", format, arguments);
    va_end(arguments);
}

static void check_document(struct check *check) {
    char digest[STORE_HASH_BYTES] = "", *document = NULL;
    check->opened = store_document_read(check->reader, check->job->id, &document) == 1 &&
                    job_spec_parse(&check->spec, document);
    if (check->opened) {
        job_document_digest(document, digest);
    }
    free(document);
    if (!check->opened) {
        fault(check, "its document cannot be read");
        return;
    }
    if (strcmp(digest, check->job->digest) != 0) {
        fault(check, "its document's sha256 is %s; the stored one is %s", digest, check->job->digest);
    }
    const struct train_config *config = &check->spec.config;
    if (strcmp(check->job->task, task_type_name(config->task.type)) != 0 ||
        strcmp(check->job->rule, rule_type_name(config->rule.type)) != 0 || check->job->seed != (int64_t)config->seed ||
        check->job->iterations != config->training.iterations) {
        fault(check, "its seed, task, rule or iterations are not those of its document");
    }
}

/* What the row says about the end, in the form of the terminal event. */
static json_t *row_end(const struct store_job *job) {
    json_t *end = json_pack("{s:s, s:i, s:{s:I, s:o, s:o}}", "status", job_status_name(job->status), "attempt",
                            job->attempt, "metrics", "iteration", (json_int_t)job->iteration, "loss",
                            json_number_or_null(job->loss), "accuracy", json_number_or_null(job->accuracy));
    if (job->status == JOB_SUCCEEDED) {
        json_object_set_new(end, "weights_sha256", json_string(job->weights_sha256));
    }
    if (job->error_code != NULL) {
        json_t *error = json_pack("{s:s, s:s}", "code", job->error_code, "detail",
                                  job->error_detail != NULL ? job->error_detail : "");
        if (job->error_iteration >= 0) {
            json_object_set_new(error, "iteration", json_integer(job->error_iteration));
        }
        json_object_set_new(end, "error", error);
    }
    return end;
}

static void check_end(struct check *check, const json_t *event) {
    static const char *const compared[] = {"status", "attempt", "metrics", "weights_sha256", "error"};
    json_t *row = row_end(check->job);
    for (size_t i = 0; i < sizeof compared / sizeof *compared; i++) {
        const json_t *here = json_object_get(row, compared[i]), *there = json_object_get(event, compared[i]);
        if ((here != NULL || there != NULL) && !json_equal(here, there)) {
            fault(check, "its %s differs from its last event", compared[i]);
        }
    }
    json_decref(row);
}

static bool check_event(void *user, const struct store_event *event) {
    struct check *check = user;
    json_t *document = json_loads(event->json, JSON_REJECT_DUPLICATES, NULL);
    if (event->id != check->events + 1) {
        fault(check, "event %" PRId64 " follows event %" PRId64, event->id, check->events);
    }
    if (event->seq <= check->seq) {
        fault(check, "event %" PRId64 " has the sequence number %" PRId64 ", the one before %" PRId64, event->id,
              event->seq, check->seq);
    }
    if (check->ended) {
        fault(check, "event %" PRId64 " follows the terminal one", event->id);
    }
    if (json_integer_value(json_object_get(document, "id")) != event->id ||
        json_integer_value(json_object_get(document, "seq")) != event->seq) {
        fault(check, "the text of event %" PRId64 " is not its own", event->id);
    }
    if (event->terminal && job_status_is_final(check->job->status)) {
        check_end(check, document);
    }
    json_decref(document);
    event_digest_add(check->digest, event->json);
    check->events = event->id;
    check->seq = event->seq;
    check->ended = check->ended || event->terminal;
    check->progress += event->check != NULL;
    return true;
}

static void check_events(struct check *check) {
    if (store_events_read(check->reader, check->job->id, 0, -1, check_event, check) < 0) {
        fault(check, "its events cannot be read");
        return;
    }
    if (check->events != check->job->events) {
        fault(check, "it has %" PRId64 " events; its row says %" PRId64, check->events, check->job->events);
    }
    if (strcmp(check->digest, check->job->event_digest) != 0) {
        fault(check, "its events' digest is %s; the stored one is %s", check->digest, check->job->event_digest);
    }
    if (check->ended != job_status_is_final(check->job->status)) {
        fault(check, "it is %s and has %s terminal event", job_status_name(check->job->status),
              check->ended ? "a" : "no");
    }
}

/* The sha256 of a checkpoint's weights; false, after reporting a fault, if it cannot be opened. */
static bool weights_digest(struct check *check, const struct store_checkpoint *checkpoint,
                           char digest[STORE_HASH_BYTES]) {
    struct trained trained;
    struct error error = {.text = ""};
    if (trained_open(&check->spec.config, checkpoint->bytes, checkpoint->size, &trained, &error) != RESULT_DONE) {
        fault(check, "its checkpoint of iteration %" PRId64 " cannot be opened: %s", checkpoint->iteration, error.text);
        return false;
    }
    sha256_hex(trained.W, trained.parameters * sizeof(float), digest);
    trained_release(&trained);
    return true;
}

static bool check_checkpoint(void *user, const struct store_checkpoint *listed) {
    struct check *check = user;
    struct store_checkpoint checkpoint = {0};
    char digest[STORE_HASH_BYTES];
    bool newest = check->checkpoints++ == 0;
    if (store_checkpoint_read(check->reader, check->job->id, listed->iteration, &checkpoint, NULL) != 1) {
        fault(check, "the bytes of its checkpoint of iteration %" PRId64 " do not have the sha256 stored with them",
              listed->iteration);
    } else if (check->opened && weights_digest(check, &checkpoint, digest) && newest &&
               check->job->status == JOB_SUCCEEDED && strcmp(digest, check->job->weights_sha256) != 0) {
        fault(check, "its weights' sha256 is %s; the stored one is %s", digest, check->job->weights_sha256);
    }
    free(checkpoint.bytes);
    return true;
}

/* An experiment may keep no weights of its trials. */
static bool weights_are_dropped(const struct check *check) {
    struct store_finding finding = {0};
    bool dropped = store_finding_read(check->reader, check->job->id, &finding) == 1 && finding.dropped;
    free(finding.curves);
    return dropped;
}

static void check_checkpoints(struct check *check) {
    if (store_checkpoints_list(check->reader, check->job->id, check_checkpoint, check) < 0) {
        fault(check, "its checkpoints cannot be read");
    } else if (check->job->status == JOB_SUCCEEDED && check->checkpoints == 0 && !weights_are_dropped(check)) {
        fault(check, "it succeeded and has no checkpoint");
    }
}

/* ---- training again ---- */

static bool rerun_progress(void *user, const struct train_progress *progress) {
    struct check *check = user;
    char *text = event_progress_check(progress), *stored = NULL;
    int found = text == NULL ? -1 : store_progress_check(check->reader, check->job->id, progress->iteration, &stored);
    if (found != 1) {
        fault(check,
              found == 0 ? "iteration %" PRId64 ", trained again, has an evaluation that is not stored"
                         : "the evaluation of iteration %" PRId64 " cannot be read",
              progress->iteration);
    } else if (strcmp(text, stored) != 0) {
        fault(check, "iteration %" PRId64 ", trained again, gave %s; the stored one is %s", progress->iteration, text,
              stored);
    }
    check->progress--;
    bool same = found == 1 && strcmp(text, stored) == 0;
    free(text);
    free(stored);
    return same; /* everything after a difference differs too */
}

static bool rerun_checkpoint(void *user, int64_t iteration, double loss, const unsigned char *bytes, size_t size) {
    struct check *check = user;
    struct store_checkpoint checkpoint = {.iteration = iteration, .size = size, .bytes = malloc(size)};
    (void)loss;
    if (checkpoint.bytes == NULL) {
        return false;
    }
    memcpy(checkpoint.bytes, bytes, size);
    bool opened = weights_digest(check, &checkpoint, check->digest);
    free(checkpoint.bytes);
    return opened;
}

static void rerun_compare(struct check *check) {
    struct train_control control = {0};
    struct error error = {.text = ""};
    const struct train_callbacks callbacks = {
        .user = check, .progress = rerun_progress, .checkpoint = rerun_checkpoint};
    int faults = check->faults;
    atomic_init(&control.command, TRAIN_GO);
    atomic_init(&control.threads, host_cores());
    enum result result = train_run(&check->spec.config, NULL, 0, &control, &callbacks, &error);
    if (check->faults > faults) {
        return;
    }
    if (result != RESULT_DONE) {
        fault(check, "trained again, it did not finish: %s", error.text);
    } else if (check->progress != 0) {
        fault(check, "trained again, it was evaluated %" PRId64 " times %s",
              check->progress < 0 ? -check->progress : check->progress, check->progress < 0 ? "more" : "less");
    } else if (strcmp(check->digest, check->job->weights_sha256) != 0) {
        fault(check, "trained again its weights' sha256 is %s; the stored one is %s", check->digest,
              check->job->weights_sha256);
    }
}

/* True if the job was trained again, whatever the result. */
static bool rerun(struct check *check) {
    char error[DATASETS_ERROR_BYTES];
    const struct task_data *data = NULL;
    const char *isa = check->job->isa;
    if (check->job->status != JOB_SUCCEEDED || !check->opened) {
        return false;
    }
    if (isa == NULL || !kernels_select(isa)) {
        remark(check, "not trained again: %s %s",
               isa != NULL && strchr(isa, ',') != NULL ? "it was trained with the kernels of" : "this host lacks",
               isa == NULL ? "?" : isa);
        return false;
    }
    if (datasets_hold(check->datasets, &check->spec.config.task, check->job->dataset_sha256, &data, error) !=
        DATASETS_HELD) {
        remark(check, "not trained again: %s", error);
        return false;
    }
    check->spec.config.task.data = data;
    rerun_compare(check);
    datasets_release(check->datasets, data);
    return true;
}

static bool job_check(void *user, const struct store_job *job) {
    struct verification *all = user;
    struct check check = {.reader = all->reader, .datasets = all->datasets, .job = job};
    check_document(&check);
    check_events(&check);
    check_checkpoints(&check);
    int64_t events = check.events;
    bool again = all->rerun && check.faults == 0 && rerun(&check);
    if (check.faults == 0) {
        remark(&check, "ok: %s, %" PRId64 " events, %d checkpoint%s%s", job_status_name(job->status), events,
               check.checkpoints, check.checkpoints == 1 ? "" : "s", again ? ", trained again to the same bits" : "");
    }
    fflush(stdout);
    job_spec_release(&check.spec);
    all->jobs++;
    all->damaged += check.faults > 0;
    all->rerun_jobs += again;
    return true;
}

/* One job, or all of them, oldest first. False if the database fails. */
static bool jobs_check(struct verification *all, const char *id, char error[STORE_ERROR_BYTES]) {
    struct store_job job;
    if (id == NULL) {
        snprintf(error, STORE_ERROR_BYTES, "the jobs cannot be read");
        return store_jobs_with(all->reader, (1u << JOB_STATUSES) - 1, job_check, all) >= 0;
    }
    int found = store_job_read(all->reader, id, &job);
    if (found != 1) {
        snprintf(error, STORE_ERROR_BYTES, found == 0 ? "there is no job %.60s" : "job %.60s cannot be read", id);
        return false;
    }
    job_check(all, &job);
    store_job_release(&job);
    return true;
}

/* ---- what trials have found ---- */

static bool never_stopped(void *user) {
    (void)user;
    return false;
}

/* The digest of the curves as the job's events give them; "" if they cannot be read. */
static void events_digest(struct store_reader *reader, const char *job, char digest[STORE_HASH_BYTES]) {
    struct curves curves = {0};
    size_t size;
    curves_want_all(&curves);
    bool read = curves_read(&curves, reader, job, never_stopped, NULL);
    unsigned char *bytes = read ? curves_encode(&curves, &size) : NULL;
    digest[0] = '\0';
    if (bytes != NULL) {
        sha256_hex(bytes, size, digest);
    }
    free(bytes);
    curves_release(&curves);
}

/* One finding: its curves have their digest, and where the job is still there they are those of its events. */
static bool finding_check(void *user, const struct store_finding *finding) {
    struct verification *all = user;
    struct curves curves = {0};
    char digest[STORE_HASH_BYTES];
    struct store_job job = {0};
    struct check check = {.reader = all->reader, .job = &job};
    snprintf(job.id, sizeof job.id, "%s", finding->job);
    sha256_hex(finding->curves, finding->size, digest);
    if (strcmp(digest, finding->sha256) != 0 || !curves_decode(&curves, finding->curves, finding->size)) {
        fault(&check, "what its trial's statistics rest on (findings) is damaged");
    } else if (!finding->archived && finding->size < FINDING_COMPARED) {
        events_digest(all->reader, finding->job, digest);
        if (strcmp(digest, finding->sha256) != 0) {
            fault(&check, "what its trial's statistics rest on (findings) is not what its events say");
        }
    }
    curves_release(&curves);
    all->damaged += check.faults > 0;
    all->lost += check.faults > 0;
    all->findings++;
    return true;
}

static int verify(const struct command *command) {
    char error[STORE_ERROR_BYTES] = "out of memory";
    struct verification all = {.reader = store_reader_open(command->config.data, error), .rerun = command->rerun};
    all.datasets = all.reader == NULL ? NULL : datasets_create(command->config.data, NULL);
    bool done = all.datasets != NULL && store_reader_hold(all.reader) && store_integrity_check(all.reader, error) &&
                jobs_check(&all, command->operand, error) &&
                (command->operand != NULL || store_findings_read(all.reader, finding_check, &all) >= 0);
    if (done) {
        printf("%d job%s: %d whole, %d damaged", all.jobs, all.jobs == 1 ? "" : "s",
               all.jobs - (all.damaged - all.lost), all.damaged - all.lost);
        if (all.findings > 0) {
            printf("; %d trial%s kept, %d damaged", all.findings, all.findings == 1 ? "" : "s", all.lost);
        }
        printf(command->rerun ? ", %d trained again\n" : "\n", all.rerun_jobs);
    } else {
        printable_make(error, false);
        fprintf(stderr, "modpropd: %s\n", error);
    }
    datasets_destroy(all.datasets);
    store_reader_close(all.reader);
    return done && all.damaged == 0 ? 0 : 1;
}

int verify_command(int count, char **arguments, char **environment) {
    struct command command = {.usage = "modpropd verify --data DIR [--rerun] [JOB]"};
    int status = command_read(&command, true, count, arguments, environment);
    if (status < 0) {
        status = verify(&command);
    }
    config_release(&command.config);
    return status;
}

/* ---- backup ---- */

int backup_command(int count, char **arguments, char **environment) {
    struct command command = {.usage = "modpropd backup --data DIR FILE"};
    char error[STORE_ERROR_BYTES];
    int status = command_read(&command, false, count, arguments, environment);
    if (status < 0 && command.operand == NULL) {
        status = usage_fail(&command, "the file to write is missing");
    }
    if (status < 0) {
        bool done = store_backup(command.config.data, command.operand, error);
        if (done) {
            printf("%s holds every job, event and checkpoint; to restore, stop the daemon and put it in place of "
                   "modprop.db in an empty "
                   "data directory."
                   " Datasets are files of their own in %s/datasets.\n",
                   command.operand, command.config.data);
        } else {
            fprintf(stderr, "modpropd: %s\n", error);
        }
        status = done ? 0 : 1;
    }
    config_release(&command.config);
    return status;
}

/* The outbox of one attempt: see outbox.h. */
#include "server/worker/outbox.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEAD_BYTES 64

struct outbox {
    char path[OUTBOX_PATH_BYTES];
    bool keeps_several;
    FILE *records;
    int64_t written, acknowledged; /* bytes of records */
    int64_t count;                 /* records that have arrived */
    int64_t checkpointed;
    struct outbox_checkpoint *checkpoints; /* in order */
    /* what is under way */
    bool pending;
    int64_t pending_bytes, pending_records;
    char *body;
    size_t body_size;
    const struct outbox_checkpoint *sent;
};

struct outbox *outbox_create(const char *path, bool keeps_several) {
    char name[OUTBOX_PATH_BYTES + 16];
    struct outbox *outbox = calloc(1, sizeof *outbox);
    if (outbox == NULL) {
        return NULL;
    }
    outbox->keeps_several = keeps_several;
    outbox->checkpointed = -1;
    snprintf(outbox->path, sizeof outbox->path, "%s", path);
    snprintf(name, sizeof name, "%s.records", path);
    outbox->records = fopen(name, "w+e");
    if (outbox->records == NULL) {
        free(outbox);
        return NULL;
    }
    unlink(name); /* it goes with this process, however that ends */
    return outbox;
}

static void checkpoint_drop(struct outbox_checkpoint **at) {
    struct outbox_checkpoint *checkpoint = *at;
    *at = checkpoint->next;
    unlink(checkpoint->path);
    free(checkpoint);
}

void outbox_destroy(struct outbox *outbox) {
    if (outbox == NULL) {
        return;
    }
    while (outbox->checkpoints != NULL) {
        checkpoint_drop(&outbox->checkpoints);
    }
    fclose(outbox->records);
    free(outbox->body);
    free(outbox);
}

bool outbox_record(struct outbox *outbox, const char *json) {
    size_t size = strlen(json);
    bool kept = fseek(outbox->records, (long)outbox->written, SEEK_SET) == 0 &&
                fwrite(json, 1, size, outbox->records) == size && fputc('\n', outbox->records) != EOF &&
                fflush(outbox->records) == 0;
    outbox->written += kept ? (int64_t)size + 1 : 0;
    return kept;
}

static bool bytes_keep(const char *path, const void *bytes, size_t size) {
    FILE *file = fopen(path, "we");
    bool kept = file != NULL && fwrite(bytes, 1, size, file) == size;
    return file != NULL && fclose(file) == 0 && kept;
}

bool outbox_checkpoint(struct outbox *outbox, int64_t iteration, double loss, const void *bytes, size_t size,
                       const char *sha256) {
    struct outbox_checkpoint *checkpoint = calloc(1, sizeof *checkpoint), **at = &outbox->checkpoints;
    if (checkpoint == NULL) {
        return false;
    }
    *checkpoint = (struct outbox_checkpoint){
        .iteration = iteration, .loss = loss, .size = size, .after = outbox->written};
    snprintf(checkpoint->sha256, sizeof checkpoint->sha256, "%s", sha256);
    if (snprintf(checkpoint->path, sizeof checkpoint->path, "%s.%lld.check", outbox->path, (long long)iteration) >=
            (int)sizeof checkpoint->path ||
        !bytes_keep(checkpoint->path, bytes, size)) {
        unlink(checkpoint->path);
        free(checkpoint);
        return false;
    }
    while (*at != NULL) {
        if (!outbox->keeps_several && *at != outbox->sent) {
            checkpoint_drop(at);
        } else {
            at = &(*at)->next;
        }
    }
    *at = checkpoint;
    return true;
}

/* As many whole lines as fit, as the body of a call. False: there are none, or no memory. */
static bool batch_make(struct outbox *outbox) {
    size_t room = HEAD_BYTES + OUTBOX_BATCH_BYTES;
    int64_t left = outbox->written - outbox->acknowledged;
    char *line = NULL;
    size_t line_room = 0;
    if (left == 0 || (outbox->body = malloc(room)) == NULL ||
        fseek(outbox->records, (long)outbox->acknowledged, SEEK_SET) != 0) {
        free(outbox->body);
        outbox->body = NULL;
        return false;
    }
    size_t used = (size_t)snprintf(outbox->body, HEAD_BYTES, "{\"first\":%lld,\"records\":[", (long long)outbox->count);
    outbox->pending_bytes = outbox->pending_records = 0;
    while (left > outbox->pending_bytes && outbox->pending_records < OUTBOX_BATCH_RECORDS) {
        ssize_t size = getline(&line, &line_room, outbox->records);
        if (size <= 1) {
            break;
        }
        if (used + (size_t)size + 4 > room) {
            char *larger = outbox->pending_records == 0 ? realloc(outbox->body, used + (size_t)size + 4) : NULL;
            if (larger == NULL) {
                break;
            }
            outbox->body = larger; /* one line, however long */
            room = used + (size_t)size + 4;
        }
        outbox->body[used] = ',';
        used += outbox->pending_records > 0;
        memcpy(outbox->body + used, line, (size_t)size - 1);
        used += (size_t)size - 1;
        outbox->pending_bytes += size;
        outbox->pending_records++;
    }
    free(line);
    memcpy(outbox->body + used, "]}", 3);
    outbox->body_size = used + 2;
    if (outbox->pending_records == 0) {
        free(outbox->body);
        outbox->body = NULL;
    }
    return outbox->body != NULL;
}

bool outbox_next(struct outbox *outbox, bool checkpoints, struct outbox_item *item) {
    const struct outbox_checkpoint *first = outbox->checkpoints;
    if (!outbox->pending && first != NULL && checkpoints && first->after <= outbox->acknowledged) {
        outbox->sent = first;
        outbox->pending = true;
    } else if (!outbox->pending) {
        outbox->pending = batch_make(outbox);
    }
    *item = (struct outbox_item){
        .first = outbox->count, .body = outbox->body, .body_size = outbox->body_size, .checkpoint = outbox->sent};
    return outbox->pending;
}

void outbox_acknowledge(struct outbox *outbox) {
    if (outbox->sent != NULL) {
        outbox->checkpointed = outbox->sent->iteration;
        checkpoint_drop(&outbox->checkpoints); /* it is the first */
        outbox->sent = NULL;
        outbox->count++;
    } else {
        outbox->acknowledged += outbox->pending_bytes;
        outbox->count += outbox->pending_records;
        free(outbox->body);
        outbox->body = NULL;
    }
    outbox->pending = false;
    if (outbox->acknowledged == outbox->written && ftruncate(fileno(outbox->records), 0) == 0) {
        struct outbox_checkpoint *checkpoint = outbox->checkpoints;
        for (; checkpoint != NULL; checkpoint = checkpoint->next) {
            checkpoint->after = 0;
        }
        outbox->acknowledged = outbox->written = 0;
    }
}

bool outbox_is_empty(const struct outbox *outbox) {
    return !outbox->pending && outbox->checkpoints == NULL && outbox->acknowledged == outbox->written;
}

int64_t outbox_count(const struct outbox *outbox) {
    return outbox->count;
}

int64_t outbox_checkpointed(const struct outbox *outbox) {
    return outbox->checkpointed;
}

/* Units: what the loop has written together, and the items of which they are made. See store.h. Loop thread. */
#include <stdlib.h>

#include "server/store/internal.h"

struct store_unit *store_unit_create(void (*done)(struct store_unit *unit), void *user) {
    struct store_unit *unit = calloc(1, sizeof *unit);
    if (unit != NULL) {
        unit->last = &unit->first;
        unit->done = done;
        unit->user = user;
    }
    return unit;
}

struct store_item *store_unit_add(struct store_unit *unit, enum store_kind kind) {
    struct store_item *item = calloc(1, sizeof *item);
    if (item != NULL) {
        item->kind = kind;
        *unit->last = item;
        unit->last = &item->next;
    }
    return item;
}

static void item_release(struct store_item *item) {
    switch (item->kind) {
    case STORE_JOB_ADD:
    case STORE_JOB_SET:
    case STORE_JOB_CAPTION:
    case STORE_JOB_DELETE:
        store_job_release(&item->job);
        break;
    case STORE_EVENT_ADD:
        free(item->event.json);
        free(item->event.check);
        break;
    case STORE_CHECKPOINT_ADD:
        free(item->checkpoint.bytes);
        break;
    case STORE_KEY_ADD:
        free(item->key.key);
        break;
    case STORE_EXPERIMENT_ADD:
    case STORE_EXPERIMENT_SET:
    case STORE_EXPERIMENT_DELETE:
        store_experiment_release(&item->experiment);
        break;
    case STORE_VIEW_PUT:
    case STORE_VIEW_DELETE:
        store_view_release(&item->view);
        break;
    case STORE_TRIAL_ADD:
    case STORE_TRIAL_FORGET:
        break;
    case STORE_FINDING_ADD:
        free(item->finding.curves);
        break;
    }
}

void store_unit_free(struct store_unit *unit) {
    if (unit == NULL) {
        return;
    }
    for (struct store_item *item = unit->first, *next; item != NULL; item = next) {
        next = item->next;
        item_release(item);
        free(item);
    }
    free(unit);
}

const char *unit_job(const struct store_unit *unit) {
    const struct store_item *item = unit->first;
    if (item == NULL) {
        return "";
    }
    switch (item->kind) {
    case STORE_JOB_ADD:
    case STORE_JOB_SET:
    case STORE_JOB_CAPTION:
    case STORE_JOB_DELETE:
        return item->job.id;
    case STORE_EVENT_ADD:
        return item->event.job;
    case STORE_CHECKPOINT_ADD:
        return item->checkpoint.job;
    case STORE_KEY_ADD:
        return item->key.job;
    case STORE_EXPERIMENT_ADD:
    case STORE_EXPERIMENT_SET:
    case STORE_EXPERIMENT_DELETE:
        return item->experiment.id;
    case STORE_TRIAL_ADD:
    case STORE_TRIAL_FORGET:
        return item->trial.job;
    case STORE_FINDING_ADD:
        return item->finding.job;
    case STORE_VIEW_PUT:
    case STORE_VIEW_DELETE:
        return item->view.name;
    }
    return "";
}

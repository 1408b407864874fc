/*
 * Routes of saved views: GET /v1/views, and GET, PUT and DELETE of /v1/views/{view}.
 *
 * A view is a query, an order and columns under a name. The daemon checks the query and keeps the rest for its clients:
 * a list has one order here, newest first. Views belong to everyone who may read; whoever may submit may change them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/event.h"
#include "api/search.h"
#include "api/text.h"
#include "server/routes/replies.h"
#include "server/routes/routes.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define BODY_MOST 65536
#define COLUMNS_MOST 32
#define FIELD_MOST 64

/* ---- reading ---- */

static bool is_field(const char *name) {
    static const char first[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_",
                      any[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789.-";
    return name != NULL && strspn(name, first) > 0 && name[strspn(name, any)] == '\0' && strlen(name) <= FIELD_MOST;
}

static json_t *sort_read(const json_t *value, struct problems *problems) {
    const char *sort = json_string_value(value);
    char got[80];
    if (value == NULL || json_is_null(value)) {
        return json_null();
    }
    if (sort == NULL || json_string_length(value) != strlen(sort) || !is_field(sort + (*sort == '-')) ||
        strlen(sort) > FIELD_MOST) {
        problems_add(problems, NULL, "sort",
                     "must be the name of a field, with - before it in descending order, or null; got %s",
                     value_quote(value, got));
        return NULL;
    }
    return json_string(sort);
}

static bool columns_are_sound(const json_t *columns) {
    size_t index;
    json_t *column;
    bool sound = json_is_array(columns) && json_array_size(columns) <= COLUMNS_MOST;
    json_array_foreach(columns, index, column) {
        sound = sound && is_field(json_string_value(column)) &&
                json_string_length(column) == strlen(json_string_value(column));
        for (size_t i = 0; sound && i < index; i++) {
            sound = !json_equal(column, json_array_get(columns, i));
        }
    }
    return sound;
}

static json_t *columns_read(json_t *value, struct problems *problems) {
    char got[80];
    if (value == NULL || json_is_null(value)) {
        return json_null();
    }
    if (!columns_are_sound(value)) {
        problems_add(problems, NULL, "columns",
                     "must be a list of at most %d different names of fields, or null; got %s", COLUMNS_MOST,
                     value_quote(value, got));
        return NULL;
    }
    return json_incref(value);
}

static const char *q_read(const json_t *value, enum search_kind kind, struct problems *problems) {
    struct search *search = calloc(1, sizeof *search);
    const char *q = value == NULL ? "" : json_string_value(value);
    char got[80];
    if (search == NULL) {
        problems_add(problems, NULL, "q", "not enough memory to read it");
    } else if (q == NULL || (value != NULL && json_string_length(value) != strlen(q))) {
        problems_add(problems, NULL, "q", "must be a string; got %s", value_quote(value, got));
    } else {
        search_read(search, kind, q, "q", problems);
    }
    free(search);
    return q == NULL ? "" : q;
}

static void check_members(const json_t *body, struct problems *problems) {
    static const char *const members[] = {"of", "q", "sort", "columns"};
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)body, name, value) {
        bool known = false;
        for (size_t i = 0; i < COUNT(members); i++) {
            known = known || strcmp(name, members[i]) == 0;
        }
        if (!known) {
            problems_add_unknown(problems, NULL, name, "field of a view", members, COUNT(members));
        }
    }
}

/* The whole document, in its own order; NULL with faults, or without if out of memory. */
static json_t *view_read(const json_t *body, struct problems *problems) {
    const json_t *value = json_object_get(body, "of");
    const char *of = value == NULL ? "jobs" : json_string_value(value);
    bool experiments = of != NULL && strcmp(of, "experiments") == 0;
    char got[80];
    check_members(body, problems);
    if (of == NULL || (!experiments && strcmp(of, "jobs") != 0)) {
        problems_add(problems, NULL, "of", "must be jobs or experiments; got %s", value_quote(value, got));
        return NULL;
    }
    const char *q = q_read(json_object_get(body, "q"), experiments ? SEARCH_EXPERIMENTS : SEARCH_JOBS, problems);
    json_t *sort = sort_read(json_object_get(body, "sort"), problems),
           *columns = columns_read(json_object_get(body, "columns"), problems);
    if (problems->count > 0) {
        json_decref(sort);
        json_decref(columns);
        return NULL;
    }
    return json_pack("{s:s, s:s, s:o, s:o}", "of", of, "q", q, "sort", sort, "columns", columns);
}

/* ---- answering ---- */

/* NULL where it cannot be read. */
static json_t *view_document(const struct store_view *view) {
    char changed[TIME_TEXT_BYTES];
    json_t *kept = json_loads(view->document, 0, NULL), *document = json_pack("{s:s}", "name", view->name);
    time_text(view->changed, changed);
    if (json_object_update(document, kept) != 0 ||
        json_object_set_new(document, "changed_at", json_string(changed)) != 0) {
        json_decref(document);
        document = NULL;
    }
    json_decref(kept);
    return document;
}

struct looking {
    struct computation computation;   /* first */
    char name[STORE_VIEW_NAME_BYTES]; /* "": all */
    size_t count;
    bool failed;
};

static void looking_release(struct computation *computation) {
    free(computation); /* the first member of what belongs to it */
}

static bool put_view(void *user, const struct store_view *view) {
    struct looking *looking = user;
    json_t *document = view_document(view);
    char *text = json_text(document, NULL);
    json_decref(document);
    writer_text(&looking->computation.writer, looking->count++ == 0 ? "" : ",");
    writer_text(&looking->computation.writer, text == NULL ? "" : text);
    looking->failed = looking->failed || text == NULL;
    free(text);
    return !looking->failed;
}

static void work_looking(struct computation *computation) {
    struct looking *looking = (struct looking *)computation;
    struct store_reader *reader = computation_reader(computation);
    struct store_view view = {0};
    if (looking->name[0] == '\0') {
        writer_text(&computation->writer, "{\"views\":[");
        looking->failed = store_views_list(reader, put_view, looking) < 0 || looking->failed;
        writer_text(&computation->writer, "]}");
    } else {
        int found = store_view_read(reader, looking->name, &view);
        if (found == 0) {
            computation_fail(computation, 404, "there is no view %.60s", looking->name);
            return;
        }
        looking->failed = found < 0 || !put_view(looking, &view);
        store_view_release(&view);
    }
    if (looking->failed) {
        computation_fail(computation, 500, "the views cannot be read");
    }
}

static void reply_views(struct server *server, struct request *request, const char *name) {
    struct looking *looking = calloc(1, sizeof *looking);
    if (looking == NULL) {
        http_problem(request, 500, "out of memory");
        return;
    }
    snprintf(looking->name, sizeof looking->name, "%.64s", name);
    computation_init(&looking->computation, server, request, "application/json");
    looking->computation.work = work_looking;
    looking->computation.release = looking_release;
    computation_start(&looking->computation, LANE_READS);
}

/* False after answering: there can be no view of this name. */
static bool name_is_possible(struct request *request) {
    if (dataset_name_is_valid(request->parameter)) {
        return true;
    }
    http_problem(request, request->method == HTTP_PUT ? 422 : 404,
                 "a view's name has 1 to 64 letters, digits, dots, dashes and underscores, and no dot first; got "
                 "\"%.60s\"",
                 request->parameter);
    return false;
}

void route_views(struct server *server, struct request *request) {
    reply_views(server, request, "");
}

void route_view(struct server *server, struct request *request) {
    if (name_is_possible(request)) {
        reply_views(server, request, request->parameter);
    }
}

/* ---- changing ---- */

struct viewing {
    struct server *server;
    struct request *request;
};

static void on_written(struct store_unit *unit) {
    struct viewing viewing = *(struct viewing *)unit->user;
    struct request *request = viewing.request;
    bool put = unit->first->kind == STORE_VIEW_PUT;
    const char *name = unit->first->view.name;
    free(unit->user);
    log_info(unit->result == STORE_WRITTEN ? "view changed" : "view not changed", LOG_T("view", name),
             LOG_T("action", put ? "put" : "delete"), LOG_T("request_id", request->id),
             LOG_T("token", request->identity[0] == '\0' ? NULL : request->identity));
    if (unit->result == STORE_STALLED) {
        if (!unit->refused) {
            jobs_stall(viewing.server->jobs, unit);
        }
        reply_refusal(request, JOBS_NO_ROOM, unit->error);
    } else if (unit->result == STORE_FAILED && put) {
        http_problem(request, 507, "there are %d views, the maximum; delete one", STORE_VIEWS_MOST);
    } else if (unit->result == STORE_FAILED) {
        http_problem(request, 404, "there is no view %.60s", name);
    } else if (put) {
        reply_views(viewing.server, request, name);
    } else {
        http_reply_empty(request, 204);
    }
}

/* Takes over the text; NULL for a deletion. */
static void change(struct server *server, struct request *request, enum store_kind kind, char *text) {
    struct viewing *viewing = malloc(sizeof *viewing);
    struct store_unit *unit = viewing == NULL ? NULL : store_unit_create(on_written, viewing);
    struct store_item *item = unit == NULL ? NULL : store_unit_add(unit, kind);
    if (item == NULL || (kind == STORE_VIEW_PUT && text == NULL)) {
        free(viewing);
        free(text);
        store_unit_free(unit);
        http_problem(request, 503, "out of memory");
        return;
    }
    *viewing = (struct viewing){server, request};
    item->view = (struct store_view){.document = text, .changed = clock_unix_milliseconds()};
    snprintf(item->view.name, sizeof item->view.name, "%.64s", request->parameter);
    unit->frees = kind == STORE_VIEW_DELETE;
    store_submit(server->store, unit);
}

void route_view_put(struct server *server, struct request *request) {
    struct problems problems = {0};
    if (!name_is_possible(request)) {
        return;
    }
    if (request->body_size > BODY_MOST) {
        http_problem(request, 413, "a view has at most %d bytes", BODY_MOST);
        return;
    }
    json_t *body = read_body(request);
    if (body == NULL) {
        return;
    }
    json_t *document = view_read(body, &problems);
    char *text = json_text(document, NULL);
    json_decref(document);
    json_decref(body);
    if (problems.count > 0) {
        reply_problems(request, 422, "the view has bad fields", &problems);
    } else {
        change(server, request, STORE_VIEW_PUT, text);
    }
}

void route_view_delete(struct server *server, struct request *request) {
    if (name_is_possible(request)) {
        change(server, request, STORE_VIEW_DELETE, NULL);
    }
}

/*
 * A job's state (server/jobs/state.c): the table of all pairs of states and facts, and a model of everything that may
 * happen, in every order, with a crash of the daemon at any moment.
 *
 * The model is a breadth-first search over worlds: the state in memory, the row in the database, the change in
 * progress, the attempt, the waiting clients, and what clients were promised. It stands in for life.c, driver.c, the
 * store and the executor.
 */
#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "server/jobs/state.h"
#include "tests/unit/suite.h"

static const char *const phase_names[PHASES] = {"RESTS",  "STARTS", "RUNS",   "STOPS", "SETTLES",
                                                "LEAVES", "LOST",   "ADRIFT", "LEFT",  "GONE"};

/* ---- the table ---- */

#define STATE(p, s, ...) {.phase = PHASE_##p, .status = JOB_##s, __VA_ARGS__}
#define COMMITTING .committing = true
#define WORKING .working = true
#define DRAINING .draining = true
#define BECAUSE(reason) .why = WHY_##reason

static const struct job_state states[] = {
    STATE(RESTS, QUEUED, BECAUSE(NONE)),
    STATE(RESTS, PAUSED, BECAUSE(NONE)),
    STATE(RESTS, SUCCEEDED, BECAUSE(NONE)),
    STATE(RESTS, CANCELLED, BECAUSE(NONE)),
    STATE(STARTS, RUNNING, COMMITTING),
    STATE(STARTS, RUNNING, COMMITTING, DRAINING),
    STATE(RUNS, RUNNING, WORKING),
    STATE(STOPS, PAUSING, BECAUSE(PAUSE), COMMITTING, WORKING),
    STATE(STOPS, PAUSING, BECAUSE(PAUSE), WORKING),
    STATE(STOPS, PAUSING, BECAUSE(PAUSE), .end = END_STOPPED, COMMITTING),
    STATE(STOPS, CANCELLING, BECAUSE(CANCEL), COMMITTING, WORKING),
    STATE(STOPS, CANCELLING, BECAUSE(CANCEL), WORKING),
    STATE(STOPS, RUNNING, BECAUSE(TIME), WORKING),
    STATE(STOPS, RUNNING, BECAUSE(SPACE), WORKING),
    STATE(STOPS, RUNNING, BECAUSE(DRAIN), WORKING, DRAINING),
    STATE(SETTLES, QUEUED, COMMITTING),
    STATE(SETTLES, SUCCEEDED, COMMITTING),
    STATE(LEAVES, SUCCEEDED, COMMITTING),
    STATE(LOST, RUNNING, WORKING),
    STATE(LOST, CANCELLING, COMMITTING),
    STATE(LOST, RUNNING, BECAUSE(NONE)),
    STATE(ADRIFT, RUNNING, BECAUSE(NONE)),
    STATE(ADRIFT, PAUSING, BECAUSE(NONE)),
    STATE(ADRIFT, CANCELLING, BECAUSE(NONE)),
    STATE(LEFT, RUNNING, DRAINING),
    STATE(GONE, SUCCEEDED, BECAUSE(NONE)),
};
#define STATES (sizeof states / sizeof states[0])

static const char *const fact_names[FACTS] = {"cancel",    "pause",    "resume",  "delete", "picked",   "committed",
                                              "unwritten", "finished", "stopped", "failed", "hindered", "returned",
                                              "exhausted", "time",     "space",   "stall",  "drain",    "retry",
                                              "guilty",    "held",     "adopted"};

struct row {
    struct step step;
    bool is_set;
};

static struct row table[STATES][FACTS];

static bool state_equals(const struct job_state *a, const struct job_state *b) {
    return a->phase == b->phase && a->status == b->status && a->why == b->why && a->end == b->end &&
           a->committing == b->committing && a->working == b->working && a->draining == b->draining;
}

static size_t state_index(const struct job_state *state) {
    for (size_t i = 0; i < STATES; i++) {
        if (state_equals(&states[i], state)) {
            return i;
        }
    }
    ck_abort_msg("%s is not among the states", phase_names[state->phase]);
    return 0;
}

static void expect(struct job_state from, enum fact fact, struct job_state to, unsigned actions, enum answer answer) {
    table[state_index(&from)][fact] = (struct row){{to, actions, answer}, true};
}

#define S(...) ((struct job_state)STATE(__VA_ARGS__))
#define SETTLING(s) ((struct job_state)STATE(SETTLES, s, COMMITTING))

static void expect_asks(struct job_state from, enum answer cancel, enum answer pause, enum answer resume,
                        enum answer delete) {
    expect(from, FACT_ASK_CANCEL, from, 0, cancel);
    expect(from, FACT_ASK_PAUSE, from, 0, pause);
    expect(from, FACT_ASK_RESUME, from, 0, resume);
    expect(from, FACT_ASK_DELETE, from, 0, delete);
}

static void table_of_resting(void) {
    const struct job_state queued = states[0], paused = states[1], succeeded = states[2], cancelled = states[3];
    const struct job_state left = states[24], gone = states[25];
    expect_asks(queued, ANSWER_NONE, ANSWER_NONE, ANSWER_DONE, ANSWER_REFUSED);
    expect(queued, FACT_ASK_CANCEL, SETTLING(CANCELLED), ACTION_COMMIT, ANSWER_COMMIT);
    expect(queued, FACT_ASK_PAUSE, SETTLING(PAUSED), ACTION_COMMIT, ANSWER_COMMIT);
    expect(queued, FACT_PICKED, states[4], ACTION_COMMIT, ANSWER_NONE);
    expect_asks(paused, ANSWER_NONE, ANSWER_DONE, ANSWER_NONE, ANSWER_REFUSED);
    expect(paused, FACT_ASK_CANCEL, SETTLING(CANCELLED), ACTION_COMMIT, ANSWER_COMMIT);
    expect(paused, FACT_ASK_RESUME, SETTLING(QUEUED), ACTION_COMMIT | ACTION_ATTEMPT, ANSWER_COMMIT);
    expect_asks(succeeded, ANSWER_REFUSED, ANSWER_REFUSED, ANSWER_REFUSED, ANSWER_NONE);
    expect(succeeded, FACT_ASK_DELETE, states[17], ACTION_DELETE, ANSWER_COMMIT);
    expect_asks(cancelled, ANSWER_DONE, ANSWER_REFUSED, ANSWER_REFUSED, ANSWER_NONE);
    expect(cancelled, FACT_ASK_DELETE, S(LEAVES, CANCELLED, COMMITTING), ACTION_DELETE, ANSWER_COMMIT);
    expect_asks(left, ANSWER_CLOSING, ANSWER_CLOSING, ANSWER_CLOSING, ANSWER_CLOSING);
    expect_asks(gone, ANSWER_UNKNOWN, ANSWER_UNKNOWN, ANSWER_UNKNOWN, ANSWER_UNKNOWN);
}

static void table_of_commits(void) {
    for (size_t i = 0; i < STATES; i++) {
        struct job_state from = states[i], after = from, failed = from;
        if (!from.committing) {
            continue;
        }
        expect_asks(from, ANSWER_WAIT, ANSWER_WAIT, ANSWER_WAIT, ANSWER_WAIT);
        failed.phase = after.phase = PHASE_LOST;
        failed.committing = false;
        failed.end = after.end = END_NONE;
        unsigned actions = from.working ? ACTION_ABANDON : 0;
        expect(from, FACT_UNWRITTEN, failed, actions, ANSWER_NONE);
        expect(from, FACT_STALL, after, actions, ANSWER_NONE);
    }
    expect(states[4], FACT_COMMITTED, states[6], ACTION_BEGIN, ANSWER_NONE);
    expect(states[5], FACT_COMMITTED, states[24], 0, ANSWER_NONE);
    expect(states[7], FACT_COMMITTED, states[8], 0, ANSWER_NONE);
    expect(states[9], FACT_COMMITTED, SETTLING(PAUSED), ACTION_COMMIT, ANSWER_NONE);
    expect(states[10], FACT_COMMITTED, states[11], 0, ANSWER_NONE);
    expect(states[15], FACT_COMMITTED, states[0], 0, ANSWER_NONE);
    expect(states[16], FACT_COMMITTED, states[2], 0, ANSWER_NONE);
    expect(states[17], FACT_COMMITTED, states[25], 0, ANSWER_NONE);
    expect_asks(states[19], ANSWER_WAIT, ANSWER_WAIT, ANSWER_NO_ROOM, ANSWER_WAIT);
    expect(states[19], FACT_COMMITTED, S(LOST, CANCELLING, BECAUSE(NONE)), 0, ANSWER_NONE);
    expect(states[19], FACT_STALL, states[19], 0, ANSWER_NONE);
    /* cancelled during another change: the attempt ends at once */
    expect(states[7], FACT_ASK_CANCEL, S(STOPS, PAUSING, BECAUSE(CANCEL), COMMITTING, WORKING), ACTION_ABANDON,
           ANSWER_WAIT);
}

static struct job_state ended(struct job_state state, enum end end) {
    state.working = false;
    state.end = end;
    return state;
}

static void expect_ends(struct job_state from, struct job_state finished, struct job_state stopped,
                        struct job_state failed, struct job_state hindered, struct job_state returned,
                        struct job_state exhausted) {
    const struct job_state to[] = {finished, stopped, failed, hindered, returned, exhausted};
    for (int i = 0; i < 6; i++) {
        unsigned actions = to[i].phase == PHASE_SETTLES ? ACTION_COMMIT : 0;
        actions |= actions != 0 && to[i].status == JOB_QUEUED ? ACTION_ATTEMPT : 0;
        expect(from, (enum fact)(FACT_FINISHED + i), to[i], actions, ANSWER_NONE);
    }
}

static void table_of_work(void) {
    const struct job_state runs = states[6], pauses = states[8], cancels = states[11], time = states[12],
                           space = states[13], drains = states[14];
    const struct job_state cancelling = states[10];
    expect_asks(runs, ANSWER_NONE, ANSWER_NONE, ANSWER_DONE, ANSWER_REFUSED);
    expect(runs, FACT_ASK_PAUSE, states[7], ACTION_COMMIT | ACTION_CHECKPOINT, ANSWER_COMMIT);
    expect(runs, FACT_TIME, time, ACTION_CHECKPOINT, ANSWER_NONE);
    expect(runs, FACT_SPACE, space, ACTION_CHECKPOINT, ANSWER_NONE);
    expect_asks(pauses, ANSWER_NONE, ANSWER_DONE, ANSWER_WAIT, ANSWER_REFUSED);
    expect_asks(cancels, ANSWER_DONE, ANSWER_REFUSED, ANSWER_REFUSED, ANSWER_REFUSED);
    expect_asks(time, ANSWER_NONE, ANSWER_NONE, ANSWER_DONE, ANSWER_REFUSED);
    expect_asks(space, ANSWER_NONE, ANSWER_NONE, ANSWER_DONE, ANSWER_REFUSED);
    expect_asks(drains, ANSWER_NONE, ANSWER_NONE, ANSWER_DONE, ANSWER_REFUSED);
    const struct job_state stopping[] = {time, space, drains};
    for (int i = 0; i < 3; i++) {
        struct job_state to = stopping[i];
        to.status = JOB_PAUSING;
        to.committing = true;
        expect(stopping[i], FACT_ASK_PAUSE, to, ACTION_COMMIT, ANSWER_COMMIT);
    }
    const struct job_state working[] = {runs, pauses, time, space, drains};
    for (int i = 0; i < 5; i++) {
        struct job_state to = cancelling;
        to.draining = working[i].draining;
        expect(working[i], FACT_ASK_CANCEL, to, ACTION_COMMIT | ACTION_ABANDON, ANSWER_COMMIT);
    }
}

/* An attempt's end, or a failure of the store, while it works. */
static void table_of_working(void) {
    for (size_t i = 0; i < STATES; i++) {
        struct job_state from = states[i], to = from;
        if (from.working && !from.committing && from.phase != PHASE_LOST) {
            to.phase = PHASE_LOST;
            expect(from, FACT_STALL, to, ACTION_ABANDON, ANSWER_NONE);
            expect(from, FACT_UNWRITTEN, to, ACTION_ABANDON, ANSWER_NONE);
        }
        if (from.working && from.committing) {
            expect_ends(from, ended(from, END_FINISHED), ended(from, END_STOPPED), ended(from, END_FAILED),
                        ended(from, END_LOST), ended(from, END_RETURNED), ended(from, END_EXHAUSTED));
        }
    }
}

static void table_of_ends(void) {
    const struct job_state runs = states[6], pauses = states[8], cancels = states[11], time = states[12],
                           space = states[13], drains = states[14];
    const struct job_state cancelled = SETTLING(CANCELLED), failed = SETTLING(FAILED), succeeded = SETTLING(SUCCEEDED),
                           paused = SETTLING(PAUSED);
    const struct job_state lost[] = {S(LOST, RUNNING, BECAUSE(NONE)), S(LOST, PAUSING, BECAUSE(PAUSE)),
                                     S(LOST, RUNNING, BECAUSE(TIME)), S(LOST, RUNNING, BECAUSE(SPACE)),
                                     S(LOST, RUNNING, BECAUSE(DRAIN), DRAINING)};
    struct job_state left = states[24], late = SETTLING(SUCCEEDED), late_failed = failed;
    left.why = WHY_DRAIN;
    late.draining = late_failed.draining = true;
    expect_ends(runs, succeeded, lost[0], failed, lost[0], SETTLING(QUEUED), paused);
    expect_ends(pauses, succeeded, paused, failed, lost[1], paused, paused);
    expect_ends(cancels, cancelled, cancelled, cancelled, cancelled, cancelled, cancelled);
    expect_ends(time, succeeded, failed, failed, lost[2], failed, failed);
    expect_ends(space, succeeded, paused, failed, lost[3], paused, paused);
    expect_ends(drains, late, left, late_failed, lost[4], left, left);
    expect_ends(states[18], states[20], states[20], states[20], states[20], states[20], states[20]);
}

static void table_of_adrift(void) {
    const struct job_state running = states[21], pausing = states[22], cancelling = states[23];
    expect_asks(states[18], ANSWER_WAIT, ANSWER_WAIT, ANSWER_NO_ROOM, ANSWER_WAIT);
    expect_asks(states[20], ANSWER_WAIT, ANSWER_WAIT, ANSWER_NO_ROOM, ANSWER_WAIT);
    expect_asks(running, ANSWER_NONE, ANSWER_NONE, ANSWER_DONE, ANSWER_REFUSED);
    expect(running, FACT_ASK_PAUSE, SETTLING(PAUSED), ACTION_COMMIT, ANSWER_COMMIT);
    expect(running, FACT_RETRY, SETTLING(QUEUED), ACTION_COMMIT | ACTION_ATTEMPT, ANSWER_NONE);
    expect(running, FACT_GUILTY, SETTLING(FAILED), ACTION_COMMIT, ANSWER_NONE);
    expect(running, FACT_HELD, SETTLING(PAUSED), ACTION_COMMIT, ANSWER_NONE);
    expect_asks(pausing, ANSWER_NONE, ANSWER_NONE, ANSWER_NONE, ANSWER_REFUSED);
    expect(pausing, FACT_ASK_PAUSE, SETTLING(PAUSED), ACTION_COMMIT, ANSWER_COMMIT);
    expect(pausing, FACT_ASK_RESUME, SETTLING(QUEUED), ACTION_COMMIT | ACTION_ATTEMPT, ANSWER_COMMIT);
    expect_asks(cancelling, ANSWER_NONE, ANSWER_REFUSED, ANSWER_REFUSED, ANSWER_REFUSED);
    for (int i = 21; i < 24; i++) {
        expect(states[i], FACT_ASK_CANCEL, SETTLING(CANCELLED), ACTION_COMMIT, ANSWER_COMMIT);
    }
    expect(running, FACT_ADOPTED, states[6], ACTION_ADOPT, ANSWER_NONE);
    expect(pausing, FACT_ADOPTED, states[8], ACTION_ADOPT | ACTION_CHECKPOINT, ANSWER_NONE);
    expect(cancelling, FACT_ADOPTED, SETTLING(CANCELLED), ACTION_COMMIT, ANSWER_NONE);
    for (enum fact fact = FACT_RETRY; fact <= FACT_HELD; fact++) {
        expect(pausing, fact, SETTLING(PAUSED), ACTION_COMMIT, ANSWER_NONE);
        expect(cancelling, fact, SETTLING(CANCELLED), ACTION_COMMIT, ANSWER_NONE);
    }
}

/* What a pair does that no row names: nothing; only the daemon's shutdown is recorded, and "unwritten" always has a
 * cause. */
static struct step untouched(struct job_state state, enum fact fact) {
    struct step step = {.state = state};
    if (fact == FACT_DRAIN) {
        step.state.draining = true;
        if (state.phase == PHASE_RUNS) {
            step.state.phase = PHASE_STOPS;
            step.state.why = WHY_DRAIN;
            step.actions = ACTION_CHECKPOINT;
        }
    }
    return step;
}

static bool is_possible(const struct job_state *state, enum fact fact) {
    return fact != FACT_UNWRITTEN || state->committing;
}

START_TEST(test_every_pair_of_state_and_fact) {
    table_of_resting();
    table_of_commits();
    table_of_work();
    table_of_working();
    table_of_ends();
    table_of_adrift();
    for (size_t i = 0; i < STATES; i++) {
        for (int fact = 0; fact < FACTS; fact++) {
            const struct row *row = &table[i][fact];
            struct step got = state_next(states[i], (enum fact)fact);
            struct step wanted = row->is_set ? row->step : untouched(states[i], (enum fact)fact);
            if (!is_possible(&states[i], (enum fact)fact)) {
                continue;
            }
            ck_assert_msg(fact > FACT_ASK_DELETE || row->is_set, "no row: state %zu, %s", i, fact_names[fact]);
            ck_assert_msg(got.actions == wanted.actions && got.answer == wanted.answer &&
                              state_equals(&got.state, &wanted.state),
                          "state %zu (%s, %d), %s: actions %u for %u, answer %d for %d, %s for %s, status %d for %d", i,
                          phase_names[states[i].phase], (int)states[i].status, fact_names[fact], got.actions,
                          wanted.actions, (int)got.answer, (int)wanted.answer, phase_names[got.state.phase],
                          phase_names[wanted.state.phase], (int)got.state.status, (int)wanted.state.status);
        }
    }
}
END_TEST

/* ---- the model ---- */

enum under_way { NOTHING, A_STATUS, A_DELETION };
enum { ASKS = 4, LINE = 2, NOBODY = 7 };

struct world {
    struct job_state state;
    enum job_status row; /* in the database */
    bool deleted;        /* there is no row */
    enum under_way under_way;
    enum job_status change;
    bool attempt, ordered;
    unsigned char line[LINE]; /* requests in order; NOBODY */
    bool taken;               /* the change of the first one is in progress */
    bool promised;            /* a cancellation was acknowledged */
};

struct node {
    uint64_t key;
    uint32_t parent;
    const char *by;
    bool rests;    /* nothing is in progress, and no client waits */
    bool can_rest; /* by what happens on its own */
};

#define NODES (1u << 20)
static struct node nodes[NODES];
static uint32_t slots[2 * NODES], count;
static struct {
    uint32_t from, to;
} *edges;
static size_t edge_count, edge_room;

static uint64_t pack(const struct world *w) {
    const struct {
        unsigned value, bits;
    } parts[] = {{w->state.phase, 4},      {w->state.status, 3},  {w->state.why, 3},      {w->state.end, 3},
                 {w->state.committing, 1}, {w->state.working, 1}, {w->state.draining, 1}, {w->row, 3},
                 {w->deleted, 1},          {w->under_way, 2},     {w->change, 3},         {w->attempt, 1},
                 {w->ordered, 1},          {w->line[0], 3},       {w->line[1], 3},        {w->taken, 1},
                 {w->promised, 1}};
    uint64_t key = 1;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        key = key << parts[i].bits | parts[i].value;
    }
    return key;
}

static struct world unpack(uint64_t key) {
    struct world w = {0};
    unsigned values[17];
    const unsigned bits[17] = {4, 3, 3, 3, 1, 1, 1, 3, 1, 2, 3, 1, 1, 3, 3, 1, 1};
    for (int i = 16; i >= 0; i--) {
        values[i] = (unsigned)(key & ((1u << bits[i]) - 1));
        key >>= bits[i];
    }
    w.state = (struct job_state){.phase = values[0],
                                 .status = values[1],
                                 .why = values[2],
                                 .end = values[3],
                                 .committing = values[4],
                                 .working = values[5],
                                 .draining = values[6]};
    w.row = values[7];
    w.deleted = values[8];
    w.under_way = values[9];
    w.change = values[10];
    w.attempt = values[11];
    w.ordered = values[12];
    w.line[0] = (unsigned char)values[13];
    w.line[1] = (unsigned char)values[14];
    w.taken = values[15];
    w.promised = values[16];
    return w;
}

static uint32_t current; /* the node whose successors are being made */

static void history_print(uint32_t node) {
    if (node != 0) {
        history_print(nodes[node].parent);
    }
    struct world w = unpack(nodes[node].key);
    printf("    %-22s %s, status %d, row %d%s%s\n", nodes[node].by, phase_names[w.state.phase], (int)w.state.status,
           (int)w.row, w.attempt ? ", works" : "", w.under_way != NOTHING ? ", under way" : "");
}

static void must(bool holds, const char *what) {
    if (!holds) {
        printf("broken: %s, after\n", what);
        history_print(current);
        ck_abort_msg("%s", what);
    }
}

static uint32_t world_add(const struct world *w, const char *by) {
    uint64_t key = pack(w);
    size_t slot = (size_t)((key * UINT64_C(0x9E3779B97F4A7C15)) >> 43);
    while (slots[slot] != 0 && nodes[slots[slot] - 1].key != key) {
        slot = (slot + 1) % (2 * NODES);
    }
    if (slots[slot] == 0) {
        ck_assert_uint_lt(count, NODES);
        bool rests = w->under_way == NOTHING && !w->attempt && w->line[0] == NOBODY &&
                     (w->state.phase == PHASE_RESTS || w->state.phase == PHASE_GONE || w->state.phase == PHASE_LEFT);
        nodes[count] = (struct node){.key = key, .parent = current, .by = by, .rests = rests, .can_rest = rests};
        slots[slot] = ++count;
    }
    return slots[slot] - 1;
}

/* A step of the world; `itself`: it happens on its own, as long as the system works. */
static void edge(const struct world *w, const char *by, bool itself) {
    uint32_t to = world_add(w, by);
    if (itself) {
        if (edge_count == edge_room) {
            edge_room = edge_room == 0 ? 1024 : 2 * edge_room;
            edges = realloc(edges, edge_room * sizeof *edges);
            ck_assert_ptr_nonnull(edges);
        }
        edges[edge_count].from = current;
        edges[edge_count++].to = to;
    }
}

static void perform(struct world *w, const struct step *step) {
    if ((step->actions & ACTION_ADOPT) != 0) {
        must(!w->attempt && (w->row == JOB_RUNNING || w->row == JOB_PAUSING), "only what runs durably is adopted");
        w->attempt = true;
        w->ordered = false;
    }
    if ((step->actions & (ACTION_CHECKPOINT | ACTION_ABANDON)) != 0) {
        must(w->attempt, "an order needs an attempt");
        w->ordered = true;
    }
    if ((step->actions & (ACTION_COMMIT | ACTION_DELETE)) != 0) {
        must(w->under_way == NOTHING, "one change is under way at a time");
        must(!job_status_is_final(w->row) || (step->actions & ACTION_DELETE) != 0, "what ended stays as it ended");
        must((step->actions & ACTION_DELETE) == 0 || job_status_is_final(w->row), "only what ended is deleted");
        w->under_way = (step->actions & ACTION_DELETE) != 0 ? A_DELETION : A_STATUS;
        w->change = step->state.status;
    }
    if ((step->actions & ACTION_BEGIN) != 0) {
        must(!w->attempt && w->row == JOB_RUNNING && !w->deleted, "one attempt, of a job that runs durably");
        w->attempt = true;
        w->ordered = false;
    }
    w->state = step->state;
    must(w->state.committing == (w->under_way != NOTHING), "the state knows what is under way");
    must(w->state.working == w->attempt, "the state knows its attempt");
}

static void line_shift(struct world *w) {
    w->line[0] = w->line[1];
    w->line[1] = NOBODY;
    w->taken = false;
}

static bool row_is(const struct world *w, enum job_status one, enum job_status other) {
    return !w->deleted && (w->row == one || w->row == other);
}

/* Reports success to the first waiting client. */
static void acknowledge(struct world *w) {
    switch (w->line[0]) {
    case FACT_ASK_CANCEL:
        must(row_is(w, JOB_CANCELLING, JOB_CANCELLED), "a cancellation that is acknowledged is durable");
        w->promised = true;
        break;
    case FACT_ASK_PAUSE:
        must(row_is(w, JOB_PAUSING, JOB_PAUSED), "a pause that is acknowledged is durable");
        break;
    case FACT_ASK_RESUME:
        must(row_is(w, JOB_QUEUED, JOB_RUNNING), "a resumption that is acknowledged is durable");
        break;
    default:
        must(w->deleted, "a deletion that is acknowledged is durable");
    }
    line_shift(w);
}

static struct job_state state_read(const struct world *w) {
    return w->deleted ? (struct job_state){.phase = PHASE_GONE, .status = w->row} : state_of_row(w->row);
}

/* As in life.c: waiting clients ask again while nothing is in progress. */
static void waiters_ask(struct world *w) {
    while (w->line[0] != NOBODY && !w->taken && !w->state.committing) {
        if (w->state.phase == PHASE_LOST && state_leave(&w->state) == LEAVE_PARK) {
            w->state = state_read(w);
        }
        struct step step = state_next(w->state, (enum fact)w->line[0]);
        must(step.answer != ANSWER_NONE, "who asks is answered");
        w->taken = step.answer == ANSWER_COMMIT;
        perform(w, &step);
        if (step.answer == ANSWER_WAIT || step.answer == ANSWER_COMMIT) {
            return;
        }
        if (step.answer == ANSWER_DONE) {
            acknowledge(w);
        } else {
            line_shift(w);
        }
    }
}

static void look(struct world *w) {
    waiters_ask(w);
    if (w->line[0] == NOBODY && state_leave(&w->state) == LEAVE_PARK) {
        bool draining = w->state.draining;
        w->state = state_read(w);
        w->state.draining = draining;
    }
}

static struct world after(const struct world *from, enum fact fact) {
    struct world w = *from;
    struct step step = state_next(w.state, fact);
    perform(&w, &step);
    look(&w);
    return w;
}

static void worlds_after_asks(const struct world *from) {
    for (int ask = 0; ask < ASKS; ask++) {
        struct world w = *from;
        int place = w.line[0] == NOBODY ? 0 : 1;
        if (w.deleted || w.line[place] != NOBODY) {
            continue;
        }
        w.line[place] = (unsigned char)ask;
        struct step step = state_next(w.state, (enum fact)ask);
        if ((place == 1 ? ask == FACT_ASK_CANCEL : w.state.committing) && step.answer == ANSWER_WAIT) {
            perform(&w, &step);
        }
        look(&w);
        edge(&w, fact_names[ask], false);
    }
}

static void worlds_after_store(const struct world *from) {
    struct world w = *from;
    if (w.under_way == NOTHING) {
        return;
    }
    w.deleted = w.deleted || w.under_way == A_DELETION;
    w.row = w.change;
    w.under_way = NOTHING;
    if (w.taken) {
        acknowledge(&w);
    }
    struct step step = state_next(w.state, FACT_COMMITTED);
    perform(&w, &step);
    look(&w);
    edge(&w, "committed", true);
    w = *from;
    w.under_way = NOTHING;
    if (w.taken) {
        line_shift(&w);
    }
    step = state_next(w.state, FACT_UNWRITTEN);
    perform(&w, &step);
    look(&w);
    edge(&w, "unwritten", false);
}

static void worlds_after_attempt(const struct world *from) {
    for (enum fact fact = FACT_FINISHED; from->attempt && fact <= FACT_EXHAUSTED; fact++) {
        struct world w = *from;
        w.attempt = w.ordered = false;
        struct step step = state_next(w.state, fact);
        perform(&w, &step);
        look(&w);
        edge(&w, fact_names[fact], fact == FACT_FINISHED || (fact == FACT_STOPPED && from->ordered));
    }
}

static void worlds_after_daemon(const struct world *from) {
    static const enum fact facts[] = {FACT_TIME, FACT_SPACE, FACT_STALL, FACT_DRAIN, FACT_PICKED};
    for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++) {
        struct world w = after(from, facts[i]);
        edge(&w, fact_names[facts[i]], facts[i] == FACT_PICKED);
    }
    for (enum fact fact = FACT_RETRY; from->state.phase == PHASE_ADRIFT && fact <= FACT_ADOPTED; fact++) {
        struct world w = after(from, fact);
        edge(&w, fact_names[fact], fact == FACT_RETRY);
    }
}

/* The process dies: the attempt with it, waiting clients get no answer, and what was in progress is durable or not. */
static void worlds_after_crash(const struct world *from) {
    for (int durable = 0; durable <= (from->under_way != NOTHING); durable++) {
        struct world w = *from;
        if (durable) {
            w.deleted = w.deleted || w.under_way == A_DELETION;
            w.row = w.change;
        }
        w.under_way = NOTHING;
        w.change = JOB_QUEUED;
        w.attempt = w.ordered = w.taken = false;
        w.line[0] = w.line[1] = NOBODY;
        w.state = state_read(&w);
        edge(&w, durable ? "crash after the commit" : "crash", false);
    }
}

static void world_check(const struct world *w) {
    must(!w->promised || w->deleted || row_is(w, JOB_CANCELLING, JOB_CANCELLED),
         "a job whose cancellation was acknowledged ends cancelled");
    must(!w->attempt || w->row == JOB_RUNNING || w->row == JOB_PAUSING || w->row == JOB_CANCELLING,
         "only a job that the database knows to run is worked at");
    must(w->state.phase != PHASE_RESTS || w->state.status == w->row, "what rests is as the database has it");
}

START_TEST(test_every_order_of_events_with_a_crash_at_any_moment) {
    const struct world first = {
        .state = STATE(RESTS, QUEUED, BECAUSE(NONE)), .row = JOB_QUEUED, .line = {NOBODY, NOBODY}};
    world_add(&first, "submitted");
    for (current = 0; current < count; current++) {
        const struct world w = unpack(nodes[current].key);
        world_check(&w);
        worlds_after_asks(&w);
        worlds_after_store(&w);
        worlds_after_attempt(&w);
        worlds_after_daemon(&w);
        worlds_after_crash(&w);
    }
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < edge_count; i++) {
            if (nodes[edges[i].to].can_rest && !nodes[edges[i].from].can_rest) {
                nodes[edges[i].from].can_rest = more = true;
            }
        }
    }
    for (current = 0; current < count; current++) {
        must(nodes[current].can_rest, "whatever has begun comes to an end, and who waits is answered");
    }
    printf("%u worlds\n", count);
    ck_assert_uint_gt(count, 1000);
    free(edges);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("state");
    TCase *cases = tcase_create("state");
    tcase_add_test(cases, test_every_pair_of_state_and_fact);
    tcase_add_test(cases, test_every_order_of_events_with_a_crash_at_any_moment);
    suite_add_tcase(suite, cases);
    return suite_run(suite);
}

#include "history.h"

#include "os.h"
#include "stats.h"

#include <string.h>

enum {
    POINTS = 512,
    FIRST_PAUSE_MS = 1000,
    /* Looking at all pools of a large heap takes long: at most this part of the time.
     */
    LOOK_PART = 100,
};

struct point {
    uint64_t at_ms, resident, live, held, dirty, cached;
};

static struct point point[POINTS] PYM_RARE_TABLE;
static size_t points;
static uint64_t pause_ms = FIRST_PAUSE_MS;
static uint64_t due_ms;

int pym_history_wait_ms(void)
{
    uint64_t now = pym_os_uptime_ms();
    return now < due_ms ? (int)(due_ms - now) : 0;
}

/* Every second point goes, and from now on half as many come. */
static void thin_out(void)
{
    for (size_t i = 0; i < POINTS / 2; i++) {
        point[i] = point[2 * i];
    }
    points = POINTS / 2;
    pause_ms *= 2;
}

void pym_history_note(void)
{
    uint64_t now = pym_os_uptime_ms();
    if (now < due_ms) {
        return;
    }
    if (points == POINTS) {
        thin_out();
    }
    struct pymalloc_totals totals;
    pym_stats_get(&totals);
    point[points++] = (struct point){
        .at_ms = now,
        .resident = totals.resident_bytes,
        .live = totals.small_live_bytes,
        .held = totals.small_held_bytes,
        .dirty = totals.dirty_bytes,
        .cached = totals.large_cached_bytes,
    };
    uint64_t took_ms = pym_os_uptime_ms() - now;
    due_ms = now + (took_ms * LOOK_PART > pause_ms ? took_ms * LOOK_PART : pause_ms);
}

void pym_history_write(struct pym_json *json)
{
    pym_json_open(json, "history", '[');
    for (size_t i = 0; i < points; i++) {
        pym_json_open(json, NULL, '[');
        pym_json_number(json, NULL, point[i].at_ms);
        pym_json_number(json, NULL, point[i].resident);
        pym_json_number(json, NULL, point[i].live);
        pym_json_number(json, NULL, point[i].held);
        pym_json_number(json, NULL, point[i].dirty);
        pym_json_number(json, NULL, point[i].cached);
        pym_json_close(json, ']');
    }
    pym_json_close(json, ']');
}

void pym_history_forget(void)
{
    points = 0;
    pause_ms = FIRST_PAUSE_MS;
    due_ms = 0;
}

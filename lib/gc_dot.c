/*
 * Objects and references as a graph for graphviz's dot.
 */
#include "alloc.h"
#include "gc_check.h"
#include "gc_map.h"
#include "gc_reference.h"
#include "json.h"
#include "print.h"

#include <errno.h>
#include <string.h>

#define NOT_DRAWN UINT32_MAX

struct drawing {
    struct gc_map map;
    uint32_t *node;           /* by number of the map: the object's node */
    struct gc_vector headers; /* of nodes */
    size_t limit;
    uint32_t *edges_to; /* of a node, that are drawn */
    uint32_t *own;      /* references to a node that are the heap's own */
    bool is_path;       /* each node leads to the next */
    bool failed;        /* no memory */
    struct pym_writer writer;
    /* Of the node whose references are being drawn. */
    uint32_t from;
    uint64_t not_drawn;
};

static struct pygc_header *header_at(const struct drawing *drawing, size_t node)
{
    return drawing->headers.at[node];
}

static uint32_t node_of(const struct drawing *drawing, const void *object)
{
    uint32_t number = gc_map_number(&drawing->map, object);
    return number == GC_NO_NUMBER ? NOT_DRAWN : drawing->node[number];
}

/* ---- what is drawn ---- */

static void add_node(struct drawing *drawing, const void *object)
{
    uint32_t number = gc_map_number(&drawing->map, object);
    if (number == GC_NO_NUMBER || drawing->node[number] != NOT_DRAWN ||
        drawing->headers.count >= drawing->limit || drawing->failed) {
        return;
    }
    drawing->node[number] = (uint32_t)drawing->headers.count;
    drawing->failed = !gc_vector_push(&drawing->headers, pygc_header_of(object));
}

static void add_reference(void *const *slot, const void *object, void *arg)
{
    (void)slot;
    add_node(arg, object);
}

/* Breadth first: what lies before at has been followed. */
static void follow_from(struct drawing *drawing, size_t at)
{
    for (; at < drawing->headers.count && !drawing->failed; at++) {
        gc_each_reference(header_at(drawing, at), add_reference, drawing);
    }
}

static void add_if_root(struct pygc_header *header, void *arg)
{
    struct drawing *drawing = arg;
    if (gc_map_unaccounted(&drawing->map, header) != 0) {
        add_node(drawing, gc_object_of(header));
    }
}

static void add_garbage(struct pygc_header *header, void *arg)
{
    struct drawing *drawing = arg;
    size_t before = drawing->headers.count;
    add_node(drawing, gc_object_of(header));
    follow_from(drawing, before);
}

static void add_all(struct drawing *drawing)
{
    gc_each_object(drawing->map.heap, add_if_root, drawing);
    follow_from(drawing, 0);
    gc_each_object(drawing->map.heap, add_garbage, drawing);
}

static bool begin(struct drawing *drawing, struct pygc_heap *heap, size_t limit)
{
    *drawing = (struct drawing){.limit = limit < NOT_DRAWN ? limit : NOT_DRAWN};
    if (!gc_map_make(&drawing->map, heap)) {
        return false;
    }
    size_t count = drawing->map.count + 1;
    drawing->node = pym_alloc_malloc(count * sizeof(drawing->node[0]));
    if (drawing->node == NULL) {
        return false;
    }
    memset(drawing->node, UINT8_MAX, count * sizeof(drawing->node[0]));
    return true;
}

static void end(struct drawing *drawing)
{
    gc_map_free(&drawing->map);
    gc_vector_free(&drawing->headers);
    pym_alloc_free(drawing->node);
    pym_alloc_free(drawing->edges_to);
    pym_alloc_free(drawing->own);
}

/* ---- words ---- */

static void put(struct drawing *drawing, const char *text)
{
    pym_writer_put(&drawing->writer, text, strlen(text));
}

/* Of a text in quotes.  What is no character is told by its number. */
static void put_name(struct drawing *drawing, const char *name)
{
    static const char hex[] = "0123456789abcdef";
    while (*name != '\0') {
        unsigned char c = (unsigned char)*name;
        size_t length = pym_json_character(name);
        if (length == 0 || c < ' ') {
            char code[] = {'\\', '\\', 'x', hex[c >> 4], hex[c & 15]};
            pym_writer_put(&drawing->writer, code, sizeof(code));
            length = 1;
        } else if (c == '"' || c == '\\') {
            pym_writer_put(&drawing->writer, "\\", 1);
            pym_writer_put(&drawing->writer, name, 1);
        } else {
            pym_writer_put(&drawing->writer, name, length);
        }
        name += length;
    }
}

/* ---- nodes ---- */

struct look {
    const char *words;
    const char *colour;
};

static const struct look *look_of(const struct pygc_header *header)
{
    static const struct look looks[PYGC_PLACES] = {
        {"generation 0", "#fff3b0"}, {"generation 1", "#ffd27f"},
        {"generation 2", "#f4a261"}, {"frozen", "#a8dadc"},
        {"not tracked", "#e9ecef"},
    };
    bool is_tracked = (header->bits & GC_TRACKED) != 0;
    return &looks[is_tracked ? gc_generation_of(header) : PYGC_UNTRACKED];
}

/* That so many references to a node come from where no object is drawn. */
static void draw_source(struct drawing *drawing, uint32_t node, char letter,
                        const char *words, size_t count)
{
    char id[] = {letter, '\0'};
    if (count != 0) {
        pym_writer_print(&drawing->writer, "  %s%u [label=\"%s\", shape=plaintext];\n",
                         id, node, words);
        pym_writer_print(&drawing->writer,
                         "  %s%u -> n%u [style=dashed, label=\"%zu\"];\n", id, node,
                         node, count);
    }
}

/* The references to a node that are not drawn as edges from others: where they are. */
static void draw_rest(struct drawing *drawing, uint32_t node)
{
    const struct pygc_header *header = header_at(drawing, node);
    size_t outside = gc_map_unaccounted(&drawing->map, header);
    uint32_t held = drawing->map.held[gc_map_number(&drawing->map, header + 1)];
    if (outside == PYGC_IMMORTAL) {
        pym_writer_print(&drawing->writer,
                         "  o%u [label=\"immortal\", shape=plaintext];\n"
                         "  o%u -> n%u [style=dashed];\n",
                         node, node, node);
    } else {
        size_t own = drawing->own[node] < outside ? drawing->own[node] : outside;
        draw_source(drawing, node, 'o', "outside", outside - own);
        draw_source(drawing, node, 'h', "the heap", own);
    }
    draw_source(drawing, node, 'x', "others", held - drawing->edges_to[node]);
}

static void draw_node(struct drawing *drawing, uint32_t node)
{
    const struct pygc_header *header = header_at(drawing, node);
    const struct look *look = look_of(header);
    struct pym_writer *writer = &drawing->writer;
    size_t count = pygc_refcnt(header + 1);
    pym_writer_print(writer, "  n%u [label=\"", node);
    put_name(drawing, gc_type_of(header)->name);
    pym_writer_print(writer, "\\n%p\\n", (const void *)(header + 1));
    if (count != PYGC_IMMORTAL) {
        pym_writer_print(writer, "%zu %s, ", count,
                         count == 1 ? "reference" : "references");
    }
    pym_writer_print(writer, "%s\", fillcolor=\"%s\"];\n", look->words, look->colour);
    draw_rest(drawing, node);
}

/* ---- edges ---- */

static void count_edge(void *const *slot, const void *object, void *arg)
{
    struct drawing *drawing = arg;
    uint32_t to = node_of(drawing, object);
    (void)slot;
    if (to != NOT_DRAWN) {
        drawing->edges_to[to]++;
    }
}

static void draw_edge(void *const *slot, const void *object, void *arg)
{
    struct drawing *drawing = arg;
    uint32_t to = node_of(drawing, object);
    if (to == NOT_DRAWN) {
        drawing->not_drawn += gc_map_number(&drawing->map, object) != GC_NO_NUMBER;
        return;
    }
    char place[GC_WORDS];
    gc_check_describe_slot(header_at(drawing, drawing->from), slot, place,
                           sizeof(place));
    pym_writer_print(&drawing->writer, "  n%u -> n%u [%s=\"%s\"%s];\n", drawing->from,
                     to, drawing->is_path ? "label" : "edgetooltip", place,
                     drawing->is_path && to == drawing->from + 1 ? ", penwidth=2" : "");
}

static void draw_edges(struct drawing *drawing, uint32_t node)
{
    drawing->from = node;
    drawing->not_drawn = 0;
    gc_each_reference(header_at(drawing, node), draw_edge, drawing);
    if (drawing->not_drawn != 0) {
        struct pym_writer *writer = &drawing->writer;
        pym_writer_print(
            writer, "  m%u [label=\"not drawn\", shape=plaintext, fontcolor=gray];\n",
            node);
        pym_writer_print(writer, "  n%u -> m%u [style=dotted, label=\"%lu\"];\n", node,
                         node, (unsigned long)drawing->not_drawn);
    }
}

/* ---- the graph ---- */

static void begin_graph(struct drawing *drawing, int fd)
{
    pym_writer_begin(&drawing->writer, fd);
    put(drawing, "digraph pygc {\n"
                 "  rankdir=LR;\n"
                 "  node [shape=box, style=filled, fillcolor=white];\n");
}

static ptrdiff_t end_graph(struct drawing *drawing)
{
    put(drawing, "}\n");
    if (!pym_writer_finish(&drawing->writer)) {
        errno = EIO;
        return -1;
    }
    return (ptrdiff_t)drawing->headers.count;
}

/* What is kept, and what waits for a finalizer, is referred to by the heap itself. */
static void count_own(struct drawing *drawing, const struct gc_vector *objects)
{
    for (size_t i = 0; i < objects->count; i++) {
        uint32_t node = node_of(drawing, objects->at[i]);
        if (node != NOT_DRAWN) {
            drawing->own[node]++;
        }
    }
}

/* False with no memory. */
static bool count_edges(struct drawing *drawing)
{
    size_t count = drawing->headers.count;
    drawing->edges_to = pym_alloc_calloc(count + 1, sizeof(drawing->edges_to[0]));
    drawing->own = pym_alloc_calloc(count + 1, sizeof(drawing->own[0]));
    if (drawing->edges_to == NULL || drawing->own == NULL) {
        return false;
    }
    for (size_t node = 0; node < count; node++) {
        gc_each_reference(header_at(drawing, node), count_edge, drawing);
    }
    count_own(drawing, &drawing->map.heap->garbage);
    count_own(drawing, &drawing->map.heap->deferred);
    return true;
}

/* -1 with ENOMEM, having written nothing. */
static ptrdiff_t draw(struct drawing *drawing, int fd)
{
    uint32_t count = (uint32_t)drawing->headers.count;
    if (drawing->failed || !count_edges(drawing)) {
        errno = ENOMEM;
        return -1;
    }
    begin_graph(drawing, fd);
    for (uint32_t node = 0; node < count; node++) {
        draw_node(drawing, node);
    }
    for (uint32_t node = 0; node < count; node++) {
        draw_edges(drawing, node);
    }
    return end_graph(drawing);
}

PYM_EXPORT ptrdiff_t pygc_dot(pygc_heap *heap, const void *root, size_t limit, int fd)
{
    struct drawing drawing;
    drawing.failed = !begin(&drawing, heap, limit);
    if (!drawing.failed && root != NULL) {
        add_node(&drawing, root);
        follow_from(&drawing, 0);
    } else if (!drawing.failed) {
        add_all(&drawing);
    }
    ptrdiff_t result = draw(&drawing, fd);
    end(&drawing);
    return result;
}

/* ---- why an object is alive ---- */

static int list_step(void *object, size_t unaccounted, void *arg)
{
    struct gc_vector *path = arg;
    (void)unaccounted;
    return !gc_vector_push(path, object);
}

/* What is no living object is told in words. */
static ptrdiff_t draw_dead(const void *object, int fd)
{
    struct drawing drawing = {.limit = 0};
    char what[GC_WORDS];
    gc_check_describe(NULL, object, what, sizeof(what));
    begin_graph(&drawing, fd);
    pym_writer_print(&drawing.writer, "  n0 [label=\"%p is ", object);
    put_name(&drawing, what);
    put(&drawing, "\"];\n");
    return end_graph(&drawing);
}

/* A path, or the object alone. */
static ptrdiff_t draw_path(struct pygc_heap *heap, const struct gc_vector *path,
                           const void *object, int fd)
{
    struct drawing drawing;
    drawing.failed = !begin(&drawing, heap, SIZE_MAX);
    drawing.is_path = true;
    for (size_t i = 0; i < path->count && !drawing.failed; i++) {
        add_node(&drawing, path->at[i]);
    }
    if (path->count == 0 && !drawing.failed) {
        add_node(&drawing, object);
    }
    ptrdiff_t result = draw(&drawing, fd);
    end(&drawing);
    return path->count == 0 && result > 0 ? 0 : result;
}

PYM_EXPORT ptrdiff_t pygc_dot_why_alive(const void *object, int fd)
{
    struct pygc_header *header = pygc_header_of(object);
    struct gc_vector path = {NULL, 0, 0};
    if (header->refs == 0 || gc_live_header(header) == NULL) {
        return draw_dead(object, fd);
    }
    ptrdiff_t length = pygc_why_alive(gc_object_of(header), list_step, &path);
    if (length >= 0 && (size_t)length != path.count) {
        errno = ENOMEM;
        length = -1;
    }
    ptrdiff_t result =
        length < 0 ? -1 : draw_path(gc_heap_of(header), &path, object, fd);
    gc_vector_free(&path);
    return result;
}

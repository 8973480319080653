#include "gc_backend.h"
#include "gc_work.h"

const char *const backend = "cpython";
struct backend_events backend_events;
size_t backend_node_count;

/* ---- types ---- */

static int node_traverse(PyObject *self, visitproc visit, void *arg)
{
    node *object = (node *)self;
    Py_VISIT(object->a);
    Py_VISIT(object->b);
    return 0;
}

static int node_clear(PyObject *self)
{
    node *object = (node *)self;
    Py_CLEAR(object->a);
    Py_CLEAR(object->b);
    return 0;
}

static void node_dealloc(PyObject *self)
{
    PyObject_GC_UnTrack(self);
    Py_TRASHCAN_BEGIN(self, node_dealloc) node_clear(self);
    PyObject_GC_Del(self);
    backend_node_count--;
    Py_TRASHCAN_END
}

PyTypeObject backend_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "node",
    .tp_basicsize = sizeof(node),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_traverse = node_traverse,
    .tp_clear = node_clear,
    .tp_dealloc = node_dealloc,
};

static int wide_traverse(PyObject *self, visitproc visit, void *arg)
{
    wide *object = (wide *)self;
    for (Py_ssize_t i = 0; i < Py_SIZE(self); i++) {
        Py_VISIT(object->items[i]);
    }
    return 0;
}

static int wide_clear(PyObject *self)
{
    wide *object = (wide *)self;
    for (Py_ssize_t i = 0; i < Py_SIZE(self); i++) {
        Py_CLEAR(object->items[i]);
    }
    return 0;
}

static void wide_dealloc(PyObject *self)
{
    PyObject_GC_UnTrack(self);
    wide_clear(self);
    PyObject_GC_Del(self);
}

static PyTypeObject wide_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "wide",
    .tp_basicsize = sizeof(wide),
    .tp_itemsize = sizeof(node *),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_traverse = wide_traverse,
    .tp_clear = wide_clear,
    .tp_dealloc = wide_dealloc,
};

static void ready(PyTypeObject *type)
{
    if (PyType_Ready(type) != 0) {
        bench_die("cannot make a type");
    }
}

/* ---- the rest ---- */

void backend_start(void)
{
    Py_InitializeEx(0);
    ready(&backend_type);
}

const char *backend_version(void)
{
    return PY_VERSION;
}

void backend_collect(void)
{
    (void)PyGC_Collect();
}

void backend_automatic(int on)
{
    (void)(on ? PyGC_Enable() : PyGC_Disable());
}

int backend_set_pause_target(uint64_t ns)
{
    (void)ns;
    return -1;
}

void *backend_table(size_t bytes)
{
    return bench_map(bytes);
}

void *backend_data(size_t bytes)
{
    char *data = PyBytes_AS_STRING(
        (PyObject *)bench_must(PyBytes_FromStringAndSize(NULL, (Py_ssize_t)bytes)));
    return memset(data, 0, bytes);
}

/* The payload begins where a node's slots do. */
void *backend_object(size_t payload)
{
    static PyTypeObject types[PAYLOAD_MAX + 1];
    PyTypeObject *type = &types[payload];
    if (type->tp_name == NULL) {
        *type = (PyTypeObject){
            PyVarObject_HEAD_INIT(NULL, 0).tp_name = "object",
            .tp_basicsize = (Py_ssize_t)(offsetof(node, a) + payload),
            .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
            .tp_traverse = node_traverse,
            .tp_clear = node_clear,
            .tp_dealloc = node_dealloc,
        };
        ready(type);
    }
    node *object = bench_must(PyObject_GC_New(node, type));
    memset(&object->a, 0, payload);
    PyObject_GC_Track(object);
    return object;
}

wide *wide_new(size_t n)
{
    ready(&wide_type);
    wide *object = bench_must(PyObject_GC_NewVar(wide, &wide_type, (Py_ssize_t)n));
    memset(object->items, 0, n * sizeof object->items[0]);
    PyObject_GC_Track(object);
    return object;
}

/* ---- what the collector tells ---- */

static size_t number_of(PyObject *dictionary, const char *key)
{
    return PyLong_AsSize_t(PyDict_GetItemString(dictionary, key));
}

static PyObject *on_event(PyObject *self, PyObject *arguments)
{
    const char *phase;
    PyObject *info;
    (void)self;
    if (!PyArg_ParseTuple(arguments, "sO", &phase, &info)) {
        return NULL;
    }
    if (strcmp(phase, "stop") == 0) {
        size_t collected = number_of(info, "collected");
        backend_events.collected += collected;
        if (number_of(info, "generation") == 2) {
            backend_events.fulls++;
            backend_events.last_full = collected;
        }
    }
    Py_RETURN_NONE;
}

int backend_watch(void)
{
    static PyMethodDef method = {"on_event", on_event, METH_VARARGS, NULL};
    PyObject *module = bench_must(PyImport_ImportModule("gc"));
    PyObject *callbacks = bench_must(PyObject_GetAttrString(module, "callbacks"));
    return PyList_Append(callbacks, bench_must(PyCFunction_New(&method, NULL))) == 0;
}

size_t backend_nodes(void)
{
    return backend_node_count;
}

void backend_report(void)
{
    PyObject *module = bench_must(PyImport_ImportModule("gc"));
    PyObject *stats = bench_must(PyObject_CallMethod(module, "get_stats", NULL));
    for (int i = 0; i < 3; i++) {
        size_t count = number_of(PyList_GetItem(stats, i), "collections");
        result_add("collections%d=%zu", i, count);
    }
}

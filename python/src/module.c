/*
 * pymalloc._pymalloc: what of the package pymalloc has to be written in C.  The package
 * checks arguments and gives them better shapes.
 */
#include "hooks.h"
#include "library.h"

#include <Python.h>

#include <errno.h>

/* An error number of the library's as the exception that Python has for it. */
static PyObject *raise_error(int error)
{
    errno = error;
    return PyErr_SetFromErrno(PyExc_OSError);
}

static PyObject *start(PyObject *module, PyObject *args)
{
    (void)module;
    unsigned domains;
    int is_counted;
    if (!PyArg_ParseTuple(args, "Ip", &domains, &is_counted)) {
        return NULL;
    }
    const char *reason = hooks_start(domains, is_counted);
    if (reason != NULL) {
        PyErr_SetString(PyExc_RuntimeError, reason);
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *stop(PyObject *module, PyObject *args)
{
    (void)module;
    unsigned domains;
    if (!PyArg_ParseTuple(args, "I", &domains)) {
        return NULL;
    }
    hooks_stop(domains);
    Py_RETURN_NONE;
}

/* The set of domains that libpymalloc serves now. */
static PyObject *serving(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    unsigned domains = 0;
    for (unsigned i = 0; i < HOOKS_DOMAINS; i++) {
        domains |= (unsigned)hooks_are_serving((enum hooks_domain)i) << i;
    }
    return PyLong_FromUnsignedLong(domains);
}

static PyObject *count_domain(enum hooks_domain domain)
{
    struct hooks_counts counts = hooks_count(domain);
    return Py_BuildValue("{snsnsnsnsnsn}", "allocs", counts.allocs, "frees",
                         counts.frees, "passed_on", counts.passed_on, "live_blocks",
                         counts.allocs - counts.frees, "live_bytes", counts.live_bytes,
                         "peak_bytes", counts.peak_bytes);
}

static PyObject *counts(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    PyObject *all = PyDict_New();
    for (unsigned i = 0; all != NULL && i < HOOKS_DOMAINS; i++) {
        PyObject *one = count_domain((enum hooks_domain)i);
        if (one == NULL || PyDict_SetItemString(all, hooks_names[i], one) != 0) {
            Py_CLEAR(all);
        }
        Py_XDECREF(one);
    }
    return all;
}

static PyObject *stats_json(PyObject *module, PyObject *args)
{
    (void)module;
    int fd;
    if (!PyArg_ParseTuple(args, "i", &fd)) {
        return NULL;
    }
    int error = library.stats_json(fd, 0);
    if (error != 0) {
        return raise_error(error);
    }
    Py_RETURN_NONE;
}

static PyObject *purge(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    size_t bytes;
    Py_BEGIN_ALLOW_THREADS bytes = library.purge();
    Py_END_ALLOW_THREADS return PyLong_FromSize_t(bytes);
}

static PyObject *option_get(PyObject *module, PyObject *args)
{
    (void)module;
    const char *name;
    char value[512];
    if (!PyArg_ParseTuple(args, "s", &name)) {
        return NULL;
    }
    int error = library.option_get(name, value, sizeof(value));
    return error != 0 ? raise_error(error) : PyUnicode_DecodeFSDefault(value);
}

static PyObject *option_set(PyObject *module, PyObject *args)
{
    (void)module;
    const char *name, *value;
    if (!PyArg_ParseTuple(args, "ss", &name, &value)) {
        return NULL;
    }
    int error = library.option_set(name, value);
    if (error != 0) {
        return raise_error(error);
    }
    Py_RETURN_NONE;
}

static PyObject *owns(PyObject *module, PyObject *object)
{
    (void)module;
    return PyBool_FromLong(library.owns(object));
}

static PyObject *verify(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    return PyLong_FromLong(library.verify());
}

static PyMethodDef methods[] = {
    {"start", start, METH_VARARGS, NULL},
    {"stop", stop, METH_VARARGS, NULL},
    {"serving", serving, METH_NOARGS, NULL},
    {"counts", counts, METH_NOARGS, NULL},
    {"stats_json", stats_json, METH_VARARGS, NULL},
    {"purge", purge, METH_NOARGS, NULL},
    {"option_get", option_get, METH_VARARGS, NULL},
    {"option_set", option_set, METH_VARARGS, NULL},
    {"owns", owns, METH_O, NULL},
    {"verify", verify, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyObject *domain_names(void)
{
    PyObject *names = PyTuple_New(HOOKS_DOMAINS);
    for (Py_ssize_t i = 0; names != NULL && i < HOOKS_DOMAINS; i++) {
        PyObject *name = PyUnicode_FromString(hooks_names[i]);
        if (name == NULL) {
            Py_CLEAR(names);
        } else {
            PyTuple_SET_ITEM(names, i, name);
        }
    }
    return names;
}

static int add_object(PyObject *module, const char *name, PyObject *object)
{
    int result = object != NULL ? PyModule_AddObjectRef(module, name, object) : -1;
    Py_XDECREF(object);
    return result;
}

static int execute(PyObject *module)
{
    const char *reason = library_load();
    if (reason != NULL) {
        PyErr_SetString(PyExc_ImportError, reason);
        return -1;
    }
    const char *path = library.path != NULL ? library.path : "";
    if (add_object(module, "domains", domain_names()) != 0 ||
        add_object(module, "library", PyUnicode_DecodeFSDefault(path)) != 0 ||
        add_object(module, "preloaded", PyBool_FromLong(library.preloaded)) != 0) {
        return -1;
    }
    return PyModule_AddStringConstant(module, "version", library.version());
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *)execute},
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "pymalloc._pymalloc",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__pymalloc(void)
{
    return PyModuleDef_Init(&definition);
}

/*
 * A small Lisp on libpymalloc's object layer: how an interpreter uses it.
 *
 *     cc lisp.c $(pkg-config --cflags --libs libpymalloc) -o lisp
 *     echo "((lambda (n) (* n n)) 12)" | ./lisp
 *     ./lisp REPORT GRAPH JSON <program   # and what its heap looks like at the end
 *
 * Every value is an object of one heap.  Pairs, closures and environments refer to
 * each other in circles all the time: a function that is defined lies in the
 * environment that it refers to.
 *
 * Functions that return an object return a reference that is the caller's ("new");
 * parameters are the caller's still ("borrowed").  nil is NULL.
 */
#include <pymalloc/gc.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    void *first, *rest;
} pair;

typedef struct {
    long value;
} number;

typedef struct {
    size_t length; /* of the name, which are the items */
    char name[];
} symbol;

/* A function of the program's own, or one in C. */
typedef struct {
    void *parameters, *body, *environment;
} closure;

typedef struct {
    void *(*call)(void *arguments);
} builtin;

/* Names and values of one scope, and the scope around it. */
typedef struct {
    void *bindings; /* a list of pairs */
    void *outer;
} scope;

static pygc_heap *heap;
static pygc_type *pair_type, *number_type, *symbol_type, *closure_type, *builtin_type,
    *scope_type;
static pair *symbols; /* all of them, so that a name is one object */

static pygc_type *make_type(const char *name, size_t size, uint32_t slots)
{
    struct pygc_slot slot = {0, slots, PYGC_STRONG, NULL};
    struct pygc_type_spec spec = {
        .name = name, .size = size, .slots = &slot, .slot_count = slots != 0};
    return pygc_type_new(&spec);
}

static void make_types(void)
{
    struct pygc_type_spec spec = {
        .name = "symbol", .size = sizeof(symbol), .item_size = 1};
    symbol_type = pygc_type_new(&spec);
    pair_type = make_type("pair", sizeof(pair), 2);
    number_type = make_type("number", sizeof(number), 0);
    closure_type = make_type("closure", sizeof(closure), 3);
    builtin_type = make_type("builtin", sizeof(builtin), 0);
    scope_type = make_type("scope", sizeof(scope), 2);
}

static int is(const void *object, const pygc_type *type)
{
    return object != NULL && pygc_type_of(object) == type;
}

static void *need(void *object)
{
    if (object == NULL) {
        perror("lisp");
        exit(1);
    }
    return object;
}

/* ---- making values ---- */

static void *new_ref(void *object)
{
    pygc_xincref(object);
    return object;
}

/* Takes both references over. */
static pair *cons(void *first, void *rest)
{
    pair *p = need(pygc_alloc(heap, pair_type));
    p->first = first;
    p->rest = rest;
    return p;
}

static number *make_number(long value)
{
    number *n = need(pygc_alloc(heap, number_type));
    n->value = value;
    return n;
}

static symbol *intern(const char *name, size_t length)
{
    for (pair *p = symbols; p != NULL; p = p->rest) {
        symbol *s = p->first;
        if (s->length == length && memcmp(s->name, name, length) == 0) {
            return new_ref(s);
        }
    }
    symbol *s = need(pygc_alloc_var(heap, symbol_type, length));
    memcpy(s->name, name, length);
    symbols = cons(new_ref(s), symbols);
    return s;
}

static void *car(const void *object)
{
    return is(object, pair_type) ? ((const pair *)object)->first : NULL;
}

static void *cdr(const void *object)
{
    return is(object, pair_type) ? ((const pair *)object)->rest : NULL;
}

static long value_of(const void *object)
{
    return is(object, number_type) ? ((const number *)object)->value : 0;
}

/* ---- reading and writing ---- */

static int peek(FILE *in)
{
    int c;
    do {
        c = getc(in);
    } while (isspace(c));
    return ungetc(c, in);
}

static void *read_value(FILE *in);

static void *read_list(FILE *in)
{
    int c = peek(in);
    if (c == ')' || c == EOF) {
        getc(in);
        return NULL;
    }
    void *first = read_value(in);
    return cons(first, read_list(in));
}

static void *read_value(FILE *in)
{
    char text[64];
    size_t length = 0;
    int c = peek(in);
    if (c == '(' || c == ')') {
        getc(in);
        return c == '(' ? read_list(in) : NULL;
    }
    while ((c = getc(in)) != EOF && !isspace(c) && c != '(' && c != ')') {
        if (length < sizeof text - 1) {
            text[length++] = (char)c;
        }
    }
    ungetc(c, in);
    text[length] = '\0';
    char *end;
    long value = strtol(text, &end, 10);
    return end != text && *end == '\0' ? (void *)make_number(value)
                                       : intern(text, length);
}

static void print(const void *object)
{
    if (object == NULL) {
        printf("()");
    } else if (is(object, number_type)) {
        printf("%ld", value_of(object));
    } else if (is(object, symbol_type)) {
        const symbol *s = object;
        printf("%.*s", (int)s->length, s->name);
    } else if (!is(object, pair_type)) {
        printf("<%s>", pygc_type_name(pygc_type_of(object)));
    } else {
        const char *before = "(";
        for (const void *p = object; p != NULL; p = cdr(p), before = " ") {
            printf("%s", before);
            print(car(p));
        }
        printf(")");
    }
}

/* ---- names ---- */

static void define(scope *in, void *name, void *value)
{
    pair *binding = cons(new_ref(name), new_ref(value));
    pair *bindings = cons(binding, pygc_take(&in->bindings));
    in->bindings = bindings;
}

static void *look_up(const scope *in, const symbol *name)
{
    for (; in != NULL; in = in->outer) {
        for (const void *p = in->bindings; p != NULL; p = cdr(p)) {
            if (car(car(p)) == name) {
                return new_ref(cdr(car(p)));
            }
        }
    }
    printf("no value: %.*s\n", (int)name->length, name->name);
    return NULL;
}

/* ---- evaluating ---- */

static void *evaluate(void *form, scope *in);

static void *evaluate_list(void *forms, scope *in)
{
    if (forms == NULL) {
        return NULL;
    }
    void *first = evaluate(car(forms), in);
    return cons(first, evaluate_list(cdr(forms), in));
}

static void *apply(void *function, void *arguments)
{
    if (is(function, builtin_type)) {
        return ((builtin *)function)->call(arguments);
    }
    if (!is(function, closure_type)) {
        return NULL;
    }
    closure *c = function;
    scope *inner = need(pygc_alloc(heap, scope_type));
    pygc_store(inner, &inner->outer, c->environment);
    for (void *p = c->parameters; p != NULL; p = cdr(p), arguments = cdr(arguments)) {
        define(inner, car(p), car(arguments));
    }
    void *result = evaluate(c->body, inner);
    pygc_decref(inner);
    return result;
}

static int is_named(const void *form, const char *name)
{
    const symbol *s = form;
    return is(form, symbol_type) && s->length == strlen(name) &&
           memcmp(s->name, name, s->length) == 0;
}

static void *make_closure(void *form, scope *in)
{
    closure *c = need(pygc_alloc(heap, closure_type));
    pygc_store(c, &c->parameters, car(cdr(form)));
    pygc_store(c, &c->body, car(cdr(cdr(form))));
    pygc_store(c, &c->environment, in);
    return c;
}

static void *evaluate(void *form, scope *in)
{
    if (is(form, symbol_type)) {
        return look_up(in, form);
    }
    if (!is(form, pair_type)) {
        return new_ref(form);
    }
    if (is_named(car(form), "quote")) {
        return new_ref(car(cdr(form)));
    }
    if (is_named(car(form), "lambda")) {
        return make_closure(form, in);
    }
    if (is_named(car(form), "define")) {
        void *value = evaluate(car(cdr(cdr(form))), in);
        define(in, car(cdr(form)), value);
        return value;
    }
    if (is_named(car(form), "if")) {
        void *condition = evaluate(car(cdr(form)), in);
        void *branch = cdr(cdr(form));
        int holds = condition != NULL;
        pygc_xdecref(condition);
        return evaluate(car(holds ? branch : cdr(branch)), in);
    }
    void *function = evaluate(car(form), in);
    void *arguments = evaluate_list(cdr(form), in);
    void *result = apply(function, arguments);
    pygc_xdecref(function);
    pygc_xdecref(arguments);
    return result;
}

/* ---- what is built in ---- */

static void *add(void *arguments)
{
    long sum = 0;
    for (; arguments != NULL; arguments = cdr(arguments)) {
        sum += value_of(car(arguments));
    }
    return make_number(sum);
}

static void *subtract(void *arguments)
{
    return make_number(value_of(car(arguments)) - value_of(car(cdr(arguments))));
}

static void *multiply(void *arguments)
{
    long product = 1;
    for (; arguments != NULL; arguments = cdr(arguments)) {
        product *= value_of(car(arguments));
    }
    return make_number(product);
}

static void *less(void *arguments)
{
    int holds = value_of(car(arguments)) < value_of(car(cdr(arguments)));
    return holds ? make_number(1) : NULL;
}

static void *call_cons(void *arguments)
{
    return cons(new_ref(car(arguments)), new_ref(car(cdr(arguments))));
}

static void *call_car(void *arguments)
{
    return new_ref(car(car(arguments)));
}

static void *call_cdr(void *arguments)
{
    return new_ref(cdr(car(arguments)));
}

static void build_in(scope *global, const char *name, void *(*call)(void *arguments))
{
    builtin *function = need(pygc_alloc(heap, builtin_type));
    symbol *s = intern(name, strlen(name));
    function->call = call;
    define(global, s, function);
    pygc_decref(s);
    pygc_decref(function);
}

/* ---- seeing what a program leaves behind ---- */

/* Draws the first of the cycles that the collector has found. */
static int draw_first(const struct pygc_cycles *cycles, void *arg)
{
    enum { OBJECTS = 8 };
    (void)pygc_dot(heap, cycles->example[0], OBJECTS, fileno(arg));
    return 1;
}

static void see(char **files)
{
    FILE *out[3];
    for (int i = 0; i < 3; i++) {
        out[i] = need(fopen(files[i], "w"));
    }
    (void)pygc_collect(heap, 2);
    (void)pygc_print_report(heap, fileno(out[0]));
    (void)pygc_find_cycles(heap, draw_first, out[1]);
    (void)pygc_write_json(heap, fileno(out[2]));
    for (int i = 0; i < 3; i++) {
        (void)fclose(out[i]);
    }
    pygc_set_debug(heap, 0);
    (void)pygc_garbage(heap, NULL, NULL, 1);
}

int main(int argc, char **argv)
{
    heap = need(pygc_heap_new(NULL));
    make_types();
    if (argc == 4) {
        pygc_set_debug(heap, PYGC_DEBUG_SAVE);
    }
    scope *global = need(pygc_alloc(heap, scope_type));
    build_in(global, "+", add);
    build_in(global, "-", subtract);
    build_in(global, "*", multiply);
    build_in(global, "<", less);
    build_in(global, "cons", call_cons);
    build_in(global, "car", call_car);
    build_in(global, "cdr", call_cdr);
    while (peek(stdin) != EOF) {
        void *form = read_value(stdin);
        void *value = evaluate(form, global);
        print(value);
        printf("\n");
        pygc_xdecref(form);
        pygc_xdecref(value);
    }
    if (argc == 4) {
        see(argv + 1);
    }
    pygc_decref(global);
    pygc_xdecref(symbols);
    (void)pygc_collect(heap, 2);
    return pygc_heap_destroy(heap, 0) == 0 ? 0 : 1; /* nothing was left */
}

; Bit vectors: has 3215031751 two factors of at most 16 bits?  The solver turns this
; into a Boolean formula of some ten thousand clauses and learns many more.
(set-logic QF_BV)
(declare-const a (_ BitVec 16))
(declare-const b (_ BitVec 16))
(assert (= (bvmul ((_ zero_extend 16) a) ((_ zero_extend 16) b)) (_ bv3215031751 32)))
(assert (bvugt a (_ bv1 16)))
(assert (bvule a b))
(check-sat)

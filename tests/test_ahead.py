"""What is read from the text of a compiled program, what of it is refused, and what a step is predicted to cost."""

import math

import pytest

from benchmarks import ahead, cost_model
from benchmarks.compiled_programs import Program
from keras_rnnlm.models import LanguageModel

# As XLA writes it: a loop whose steps its condition says, products, a collective that is begun and ended.
TEXT = """HloModule jit_train_step, is_scheduled=true

%body (arg: (s32[], f32[8,4], f32[4,16])) -> (s32[], f32[8,4], f32[4,16]) {
  %arg = (s32[]{:T(128)}, f32[8,4]{1,0:T(8,128)S(1)}, /*index=2*/f32[4,16]{1,0}) parameter(0)
  %one = s32[] constant(1)
  %count = s32[]{:T(128)} get-tuple-element(%arg), index=0
  %h = f32[8,4]{1,0:T(8,128)S(1)} get-tuple-element(%arg), index=1
  %u = f32[4,16]{1,0} get-tuple-element(%arg), index=2
  %dot.1 = f32[8,16]{1,0} custom-call(%h, %u), custom_call_target="__cublas$gemm", backend_config={"x":"(1)"}
  %new = (f32[8,4]{1,0:T(8,128)S(1)}, f32[8,4]{1,0}) fusion(%dot.1), kind=kLoop, calls=%fused
  %next = s32[]{:T(128)} add(%count, %one)
  %part = f32[8,4]{1,0} all-gather(%h), dimensions={0}
  ROOT %out = (s32[], f32[8,4]{1,0}, f32[4,16]{1,0}) tuple(%next, %part, %u)
}

%condition (arg: (s32[], f32[8,4], f32[4,16])) -> pred[] {
  %arg = (s32[], f32[8,4]{1,0}, f32[4,16]{1,0}) parameter(0)
  %i = s32[]{:T(128)} get-tuple-element(%arg), index=0
  %end = s32[]{:T(128)} constant(7)
  ROOT %less = pred[]{:T(512)} compare(%i, %end), direction=LT
}

%fused (p: f32[8,16]) -> f32[8,4] {
  %p = f32[8,16]{1,0} parameter(0)
  %many = f32[2,8,16]{2,1,0} broadcast(%p), dimensions={1,2}
  ROOT %cut = f32[2,16,16]{2,1,0} dot(%many, %many), lhs_batch_dims={0}, lhs_contracting_dims={1}, rhs_batch_dims={0}
}

%never (p: f32[8]) -> f32[8] {
  %p = f32[8]{0} parameter(0)
  ROOT %moved = f32[8]{0} collective-permute(%p)
}

ENTRY %main (a: f32[8,4], b: bf16[3,5]) -> f32[8,4] {
  %a = f32[8,4]{1,0} parameter(0)
  %b = bf16[3,5]{1,0} parameter(1)
  %begin = (s32[], f32[8,4]{1,0}, f32[4,16]{1,0}) tuple(%a)
  %while.1 = (s32[], f32[8,4]{1,0}, f32[4,16]{1,0}) while(%begin), condition=%condition, body=%body
  %sums = (f32[8,4]{1,0}, bf16[3,5]{1,0}) all-reduce-start(%a, %b), replica_groups={{0,1}}, to_apply=%add
  %summed = (f32[8,4]{1,0}, bf16[3,5]{1,0}) all-reduce-done(%sums)
  %gather = (f32[8,4]{1,0}, f32[32,4]{1,0}) all-gather-start(%a), dimensions={0}
  %both = ((f32[8,4]{1,0}, bf16[3,5]{1,0}), (f32[32,4]{1,0}, bf16[12,5]{1,0})) all-gather-start(%a, %b), dimensions={0}
  %moved = (f32[8,4]{1,0}, f32[8,4]{1,0}, u32[], u32[]) collective-permute-start(%a)
  ROOT %x = f32[8,4]{1,0} get-tuple-element(%while.1), index=1
}
"""
KNOWN = ', backend_config={"known_trip_count":{"n":"7"},"known_init_step":{"init":"0","step":"1"}}'
RECORD = {
    "target": "v5e",
    "cell": "peephole",
    "devices": 4,
    "gradient": 1000,
    "collectives": {"all-reduce": {"count": 2, "bytes": 1008}},
    "loops": [
        {"steps": 8 if name == "time" else 4, "kernels": n}
        for name, most in ahead.MOST_KERNELS["v5e", "peephole"].items()
        for n in most
    ],
}


@pytest.mark.parametrize("text", [TEXT, TEXT.replace("body=%body", "body=%body" + KNOWN).replace("LT", "NE")])
def test_what_a_loop_does_counts_at_each_of_its_steps(text):
    program = Program(text)
    assert program.loops() == [
        {"steps": 7, "kernels": 3, "by kind": {"__cublas$gemm": 1, "fusion": 1, "all-gather": 1}}
    ]
    assert program.collectives() == {
        "all-gather": {"count": 9, "bytes": 7 * 8 * 4 * 4 + 2 * 32 * 4 * 4 + 12 * 5 * 2},
        "all-reduce": {"count": 1, "bytes": 8 * 4 * 4 + 3 * 5 * 2},
        "collective-permute": {"count": 1, "bytes": 8 * 4 * 4},
    }
    assert program.flops() == 7 * (2 * 8 * 4 * 16 + 2 * 2 * 16 * 8 * 16)


def test_a_step_that_tells_more_than_gradients_or_has_more_kernels_is_refused():
    assert ahead.complaints(RECORD) == []
    loop, *others = RECORD["loops"]
    slower = loop | {"kernels": loop["kernels"] + 1}
    for name, value, said in [
        ("failed", "no such topology", "does not compile: no such topology"),
        ("collectives", RECORD["collectives"] | {"all-gather": {"count": 3, "bytes": 8}}, "3 all-gather"),
        ("collectives", {"all-reduce": {"count": 2, "bytes": 1101}}, "1,101 bytes"),
        ("collectives", {}, "tell each other nothing"),
        ("loops", [slower, *others], f"have [{slower['kernels']}, "),
        ("loops", others, "The loops over time have"),
        ("loops", [*RECORD["loops"], {"steps": 99, "kernels": 1}], "The loops over chunks of the loss have"),
    ]:
        (complaint,) = ahead.complaints(RECORD | {name: value})
        assert said in complaint
    assert ahead.complaints(RECORD | {"devices": 1, "collectives": {}}) == []
    told = {"cell": "divided", "collectives": {"all-reduce": {"count": 10, "bytes": 900}}}
    assert "more than they may: 10 all-reduce" in ahead.complaints(RECORD | told)[0]


def test_the_cost_model_counts_the_weights_that_there_are_and_divides_rows_alone():
    for tied in (False, True):
        model = LanguageModel(50, units=8, layers=3, cell_options={"peephole": True}, tied=tied)
        of_cost = cost_model.Model(8, 50, layers=3, tied=tied)
        assert of_cost.weights() == sum(math.prod(v.shape) for v in model.trainable_variables)
    h100 = cost_model.CHIPS["h100"]
    one, eight, many = (cost_model.seconds(of_cost, h100, 12, 4096, 35, devices) for devices in (1, 8, 16))
    assert one["all-reduce"] == 0 < eight["all-reduce"] < many["all-reduce"]
    assert one["products"] == pytest.approx(8 * eight["products"])

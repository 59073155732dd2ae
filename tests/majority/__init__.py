"""A second task, as anyone may bring one: which symbol of a sequence is the most frequent?"""

from keras_rnnlm.tasks import Parts

TASK = Parts("tests.majority.model:Majority", "tests.majority.learning:Learning", "tests.majority.answer:Answer")
NAME = "tests.majority:TASK"

import torch

from buffers import ReservoirBuffer, SelectorBuffer
from buffers.experiences import Experiences, experience_number


def test_experience_of_rows_by_when_they_came():
    experiences = Experiences()
    assert not experiences
    experiences.begin(3, 0)
    experiences.begin(3, 10)  # the same goes on
    experiences.begin(1, 20)
    experiences.begin(7, 30)
    experiences.begin(8, 30)  # nothing came of 7
    born = torch.tensor([0, 19, 20, 29, 30, 99])
    assert experiences.of(born).tolist() == [3, 3, 1, 1, 8, 8]
    assert Experiences(**experiences.state()).of(born).tolist() == [3, 3, 1, 1, 8, 8]


class _Experience:
    def __init__(self, number):
        self.current_experience = number


def test_a_mini_experience_has_the_number_of_its_origin():
    small = _Experience(17)
    assert experience_number(small) == 17
    small.origin_experience = _Experience(2)
    assert experience_number(small) == 2
    assert experience_number(None) is None


def test_task_labels_say_it_where_they_are_given(tmp_path):
    buffer = SelectorBuffer("random", 6, quota="task")
    buffer.add(torch.rand(9, 2), torch.zeros(9, dtype=torch.int64), torch.arange(9) % 3)
    assert buffer.stored_tasks().bincount().tolist() == [2, 2, 2]
    assert torch.equal(buffer.stored_tasks(), buffer.store.task)


def test_an_empty_memory_has_no_tasks():
    assert ReservoirBuffer(max_bytes=100).stored_tasks().shape == (0,)

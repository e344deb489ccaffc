import threading

from backend.pixel_room import PixelRoom


def test_pictures_wait_for_room_and_one_alone_has_it():
    room, order = PixelRoom(most_pixels=100), []
    inside, leave = threading.Event(), threading.Event()

    def large():
        with room.taken(1000):
            inside.set()
            leave.wait(5)
            order.append("large")

    def small():
        with room.taken(10):
            order.append("small")

    first = threading.Thread(target=large)
    first.start()
    assert inside.wait(5)
    second = threading.Thread(target=small)
    second.start()
    second.join(0.1)
    assert second.is_alive()
    leave.set()
    first.join(5), second.join(5)
    assert order == ["large", "small"]

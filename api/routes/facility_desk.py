"""What every route of a facility needs: whose side is asked for, how a command is carried out."""

from litestar import Response

from api.desk import Desk, Work
from ledger.errors import Absent, WrongInput
from syndicate.facility import questions, service
from syndicate.facility.life import Command
from syndicate.facility.log import FacilityLog
from syndicate.facility.service import Carried
from syndicate.facility.views import Viewer
from syndicate.parties.institutions import check_id

TAGS = ["facilities"]
ROOT = "/v1/facilities/{facility:str}"


def work_of(work: Work) -> service.Work:
    """The desk's work as the facility's service takes it."""
    return service.Work(conn=work.conn, actor=work.actor, now=work.now, command=work.command)


def viewer_at(desk: Desk) -> Viewer:
    """Whose side of the facility is asked for."""
    asker = desk.asker
    return Viewer(
        institution=asker.institution, person=asker.person, everything=asker.kind == "auditor"
    )


def known(facility: str) -> str:
    """The id itself, if it can be one: nothing else reaches the database. Raises Absent."""
    try:
        return check_id(facility, place="facility")
    except WrongInput as error:
        raise Absent("no facility of that name") from error


async def carry_out(desk: Desk, facility: str, command: Command, *, key: str) -> Response[Carried]:
    """The command is carried out in the asker's name, and a refusal enters the facility's log."""

    async def use_case(work: Work) -> Carried:
        return await service.carry_out(work_of(work), facility=facility, command=command)

    return await desk.command(use_case, key=key, book=known(facility))


async def log_at(desk: Desk, facility: str) -> FacilityLog:
    """The facility's log, if the asker has a part in it. Raises Absent."""
    return await desk.ask(lambda conn: questions.facility_log(conn, facility=known(facility)))

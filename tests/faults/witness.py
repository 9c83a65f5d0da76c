"""A witness in a study's database on PostgreSQL: triggers note who writes of which slot, and whose the slot is then.

A worker says who it is by the name of its sessions: its host and its number there, as its name in the study has them.
Whoever has a slot may write of it. Others may do three things, and the witness tells them by what they are: take the
slot with a number that the gate gave since, leave it to the next one with such a number, and bind the trial that shows
it in Optuna. Scores belong to a training and Optuna's tables only show what the rows say, so neither is anybody's.
"""

from typing import Final

from mlpsweep.search.database import open_database
from tests.servers import Postgres

NAMED: Final = ("sh", "-c", 'export PGAPPNAME="$(hostname) $$"; exec "$@"', "sh")
"""Words before a worker's command: its sessions bear its name."""
TRIGGERS: Final = """
create function worker(owner text) returns text language sql immutable as
    $$ select split_part(owner, ' ', 2) || ' ' || split_part(owner, ' ', 5) $$;

create table witness (
    number bigserial primary key,
    session text not null default current_setting('application_name'),
    deed text not null, study text not null, slot bigint not null, owner text
);

create function note_lease() returns trigger language plpgsql as $$
declare
    deed text := case
        when new.token > old.token and worker(new.owner) = current_setting('application_name') then 'takes'
        when new.token > old.token and new.owner is null then 'leaves to the next one'
        when old.shown is null and new.shown is not null and to_jsonb(old) - '{shown,expires}'::text[]
            = to_jsonb(new) - '{shown,expires}'::text[] then 'binds'
        else 'writes'
    end;
begin
    insert into witness (deed, study, slot, owner) values (deed, old.study, old.slot, worker(old.owner));
    return null;
end $$;

create function note_report() returns trigger language plpgsql as $$
begin
    insert into witness (deed, study, slot, owner) select 'reports', new.study, new.slot, worker(
        (select owner from mlpsweep_lease where study = new.study and slot = new.slot));
    return null;
end $$;

create trigger witness after update on mlpsweep_lease for each row execute function note_lease();
create trigger witness after insert or update on mlpsweep_report for each row execute function note_report();
"""
INTRUSIONS: Final = """
select session, deed, study, slot, owner, count(*) from witness
where deed in ('writes', 'reports') and session is distinct from owner group by 1, 2, 3, 4, 5 order by min(number)
"""


def call_witness(server: Postgres) -> None:
    """Make the tables of a study, as the first search would, and the triggers."""
    import psycopg

    database = open_database(server.socket_url, server.folder.parent / "lock", patience_s=10.0)
    database.engine.dispose()
    with psycopg.connect(server.socket_url) as connection:
        connection.execute(TRIGGERS)


def check_witness(server: Postgres) -> None:
    """Nobody wrote of a slot that was another's or nobody's, and no report escaped the witness."""
    seen = server.rows("select count(*) from witness where deed = 'reports'")
    assert seen == server.rows("select count(*) from mlpsweep_report") != [(0,)]
    assert not (intrusions := server.rows(INTRUSIONS)), intrusions

"""An editor without a screen, on the Python SDK of the Agent Client Protocol: says yes once, cancels a turn, and loads
the session again. Arguments: the program, the folder. Prints one JSON object."""

import asyncio
import json
import os
import pathlib
import sys

import acp
from acp.schema import AllowedOutcome, RequestPermissionResponse


class Editor(acp.Client):
    def __init__(self):
        self.kinds = []
        self.text = ""
        self.asked = 0

    async def request_permission(self, *args, **kwargs):
        options = kwargs.get("options") or args[0]
        self.asked += 1
        chosen = next(option for option in options if option.kind == "allow_once")
        return RequestPermissionResponse(outcome=AllowedOutcome(outcome="selected", option_id=chosen.option_id))

    async def session_update(self, session_id, update, **kwargs):
        self.kinds.append(update.session_update)
        if update.session_update == "agent_message_chunk":
            self.text += update.content.text


async def main(program, folder):
    editor = Editor()
    result = {}
    async with acp.spawn_agent_process(editor, program, "acp", env=dict(os.environ), cwd=folder) as (agent, _):
        greeted = await agent.initialize(protocol_version=acp.PROTOCOL_VERSION)
        result["version"] = greeted.protocol_version
        session = await agent.new_session(cwd=folder, mcp_servers=[])
        say = lambda text: agent.prompt(session_id=session.session_id, prompt=[acp.text_block(text)])
        result["first"] = (await say("ask")).stop_reason
        running = asyncio.create_task(say("run"))
        while not pathlib.Path(folder, "started").exists():
            await asyncio.sleep(0.02)
        await agent.cancel(session_id=session.session_id)
        result["second"] = (await running).stop_reason
        result["text"], editor.text = editor.text, ""
        await agent.load_session(cwd=folder, session_id=session.session_id, mcp_servers=[])
        result["replayed"] = editor.text
    result["asked"], result["kinds"] = editor.asked, sorted(set(editor.kinds))
    print(json.dumps(result))


asyncio.run(main(*sys.argv[1:3]))

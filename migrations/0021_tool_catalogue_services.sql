-- The catalogue goes on: tools that work on repositories and in connected accounts.

-- migrate:up

insert into app.tools (
  slug, name, description, category, tags, requires_approval, requires_connection, input_schema, config_schema
)
values
  (
    'git_commit', 'Commit changes',
    'Commits changes of the workspace to its current branch. Answers with the commit''s hash. Pushes nothing.',
    'code', '{git,write}', false, null,
    $json${
      "type": "object",
      "properties": {
        "message": {"type": "string", "minLength": 1, "maxLength": 10000, "description": "The commit's message, its first line a summary."},
        "paths": {
          "type": "array",
          "items": {"type": "string", "minLength": 1, "maxLength": 4096},
          "minItems": 1,
          "maxItems": 1000,
          "uniqueItems": true,
          "description": "What to commit; all changes by default."
        }
      },
      "required": ["message"],
      "additionalProperties": false
    }$json$,
    $json${
      "type": "object",
      "properties": {
        "authorName": {"type": "string", "minLength": 1, "maxLength": 200},
        "authorEmail": {"type": "string", "pattern": "^[^@\\s]+@[^@\\s]+$", "maxLength": 254}
      },
      "dependentRequired": {"authorName": ["authorEmail"], "authorEmail": ["authorName"]},
      "additionalProperties": false
    }$json$
  ),
  (
    'open_pull_request', 'Open pull request',
    'Pushes a branch and opens a pull request for it on GitHub. Answers with its number and URL.',
    'code', '{git,github,write}', true, 'github',
    $json${
      "type": "object",
      "properties": {
        "repository": {"type": "string", "pattern": "^[\\w.-]+/[\\w.-]+$", "maxLength": 200, "description": "owner/name"},
        "title": {"type": "string", "minLength": 1, "maxLength": 256},
        "body": {"type": "string", "maxLength": 65536, "description": "Markdown."},
        "head": {"type": "string", "minLength": 1, "maxLength": 250, "description": "The branch with the changes."},
        "base": {"type": "string", "minLength": 1, "maxLength": 250, "description": "The branch to change; the repository's default one unless named."},
        "draft": {"type": "boolean", "default": false}
      },
      "required": ["repository", "title", "head"],
      "additionalProperties": false
    }$json$,
    $json${
      "type": "object",
      "properties": {
        "alwaysDraft": {"type": "boolean", "description": "Opens every pull request as a draft."},
        "labels": {
          "type": "array",
          "items": {"type": "string", "minLength": 1, "maxLength": 50},
          "maxItems": 20,
          "uniqueItems": true,
          "description": "Labels that every pull request gets."
        }
      },
      "additionalProperties": false
    }$json$
  ),
  (
    'search_issues', 'Search issues',
    'Searches issues and pull requests of a GitHub repository. Answers with number, title, state and URL of each.',
    'project', '{github,search}', false, 'github',
    $json${
      "type": "object",
      "properties": {
        "repository": {"type": "string", "pattern": "^[\\w.-]+/[\\w.-]+$", "maxLength": 200, "description": "owner/name"},
        "query": {"type": "string", "minLength": 1, "maxLength": 256, "description": "Words to find in title, body and comments."},
        "state": {"enum": ["open", "closed", "all"], "default": "open"},
        "maxResults": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}
      },
      "required": ["repository", "query"],
      "additionalProperties": false
    }$json$,
    default
  ),
  (
    'create_issue', 'Create issue',
    'Creates an issue in a team of Linear. Answers with its identifier and URL.',
    'project', '{linear,write}', true, 'linear',
    $json${
      "type": "object",
      "properties": {
        "teamId": {"type": "string", "minLength": 1, "maxLength": 100, "description": "The team; the configured one unless named."},
        "title": {"type": "string", "minLength": 1, "maxLength": 255},
        "description": {"type": "string", "maxLength": 65536, "description": "Markdown."},
        "priority": {"enum": ["none", "urgent", "high", "medium", "low"], "default": "none"}
      },
      "required": ["title"],
      "additionalProperties": false
    }$json$,
    $json${
      "type": "object",
      "properties": {
        "teamId": {"type": "string", "minLength": 1, "maxLength": 100, "description": "The team whose issues a call creates unless it names one."}
      },
      "additionalProperties": false
    }$json$
  ),
  (
    'post_message', 'Post message',
    'Posts a message to a channel of Slack, or into a thread there. Answers with the message''s timestamp.',
    'messaging', '{slack,write}', true, 'slack',
    $json${
      "type": "object",
      "properties": {
        "channel": {"type": "string", "pattern": "^[CGD][A-Z0-9]{2,}$", "maxLength": 50, "description": "The channel's id; the configured one unless named."},
        "text": {"type": "string", "minLength": 1, "maxLength": 40000, "description": "The message, in Slack's mrkdwn."},
        "threadTimestamp": {"type": "string", "pattern": "^\\d+\\.\\d+$", "maxLength": 50, "description": "The thread to answer in."}
      },
      "required": ["text"],
      "additionalProperties": false
    }$json$,
    $json${
      "type": "object",
      "properties": {
        "channel": {"type": "string", "pattern": "^[CGD][A-Z0-9]{2,}$", "maxLength": 50, "description": "Where a call posts unless it names a channel."}
      },
      "required": ["channel"],
      "additionalProperties": false
    }$json$
  ),
  (
    'query_notion_database', 'Query Notion database',
    'Reads pages of a Notion database, filtered and sorted by its properties. Answers with their properties and URLs.',
    'project', '{notion,read}', false, 'notion',
    $json${
      "type": "object",
      "properties": {
        "databaseId": {"type": "string", "pattern": "^[0-9a-f-]{32,36}$", "description": "The database; the connection's own unless named."},
        "filter": {"type": "object", "description": "A filter object of Notion's API."},
        "sorts": {"type": "array", "items": {"type": "object"}, "maxItems": 10, "description": "Sort objects of Notion's API."},
        "pageSize": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}
      },
      "additionalProperties": false
    }$json$,
    default
  );

-- migrate:down

delete from app.tools
where slug in (
  'git_commit', 'open_pull_request', 'search_issues', 'create_issue', 'post_message', 'query_notion_database'
);

-- The catalogue that an installation starts with.
--
-- Schemas are JSON Schema 2020-12. `input_schema` is what an agent's call takes; `config_schema` what a user may
-- set when they enable the tool, and never a secret: tokens live in connections and provider keys. A tool that
-- runs code, or that others see the effect of, requires approval.

-- migrate:up

insert into app.tools (
  slug, name, description, category, tags, requires_approval, requires_connection, input_schema, config_schema
)
values
  (
    'read_file', 'Read file',
    'Reads a text file of the workspace, or some of its lines. Answers with the text and the number of lines.',
    'files', '{filesystem,read}', false, null,
    $json${
      "type": "object",
      "properties": {
        "path": {"type": "string", "minLength": 1, "maxLength": 4096, "description": "Path of the file, relative to the workspace."},
        "startLine": {"type": "integer", "minimum": 1, "description": "First line to read, counted from 1; the first one by default."},
        "lineCount": {"type": "integer", "minimum": 1, "maximum": 10000, "description": "How many lines to read; all by default."}
      },
      "required": ["path"],
      "additionalProperties": false
    }$json$,
    $json${
      "type": "object",
      "properties": {
        "maxBytes": {"type": "integer", "minimum": 1024, "maximum": 10485760, "description": "Files larger than this are refused."}
      },
      "additionalProperties": false
    }$json$
  ),
  (
    'write_file', 'Write file',
    'Writes a text file of the workspace, making the directories above it. Replaces what the file held.',
    'files', '{filesystem,write}', false, null,
    $json${
      "type": "object",
      "properties": {
        "path": {"type": "string", "minLength": 1, "maxLength": 4096, "description": "Path of the file, relative to the workspace."},
        "content": {"type": "string", "maxLength": 262144, "description": "All of the file's new text."}
      },
      "required": ["path", "content"],
      "additionalProperties": false
    }$json$,
    $json${
      "type": "object",
      "properties": {
        "protectedPaths": {
          "type": "array",
          "items": {"type": "string", "minLength": 1, "maxLength": 4096},
          "maxItems": 100,
          "uniqueItems": true,
          "description": "Glob patterns of paths that are never written, such as .github/**."
        }
      },
      "additionalProperties": false
    }$json$
  ),
  (
    'edit_file', 'Edit file',
    'Replaces one passage of a text file by another. The passage must occur in the file exactly once.',
    'files', '{filesystem,write}', false, null,
    $json${
      "type": "object",
      "properties": {
        "path": {"type": "string", "minLength": 1, "maxLength": 4096, "description": "Path of the file, relative to the workspace."},
        "oldText": {"type": "string", "minLength": 1, "maxLength": 131072, "description": "The passage as it stands, white space included."},
        "newText": {"type": "string", "maxLength": 131072, "description": "What takes its place; empty to remove it."}
      },
      "required": ["path", "oldText", "newText"],
      "additionalProperties": false
    }$json$,
    default
  ),
  (
    'list_directory', 'List directory',
    'Lists the entries of a directory of the workspace with kind and size, and those below it down to a depth.',
    'files', '{filesystem,read}', false, null,
    $json${
      "type": "object",
      "properties": {
        "path": {"type": "string", "minLength": 1, "maxLength": 4096, "default": ".", "description": "Path of the directory, relative to the workspace."},
        "depth": {"type": "integer", "minimum": 1, "maximum": 10, "default": 1, "description": "How many levels to list."},
        "includeHidden": {"type": "boolean", "default": false, "description": "Whether to list names that begin with a dot."}
      },
      "additionalProperties": false
    }$json$,
    default
  ),
  (
    'search_files', 'Search files',
    'Searches the files of the workspace for a regular expression. Answers with paths, line numbers and lines.',
    'files', '{filesystem,search}', false, null,
    $json${
      "type": "object",
      "properties": {
        "pattern": {"type": "string", "minLength": 1, "maxLength": 1000, "description": "A regular expression, matched line by line."},
        "path": {"type": "string", "minLength": 1, "maxLength": 4096, "default": ".", "description": "Where to search, relative to the workspace."},
        "glob": {"type": "string", "minLength": 1, "maxLength": 1000, "description": "Only files whose path matches, such as **/*.ts."},
        "ignoreCase": {"type": "boolean", "default": false},
        "maxResults": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}
      },
      "required": ["pattern"],
      "additionalProperties": false
    }$json$,
    $json${
      "type": "object",
      "properties": {
        "excludedPaths": {
          "type": "array",
          "items": {"type": "string", "minLength": 1, "maxLength": 4096},
          "maxItems": 100,
          "uniqueItems": true,
          "description": "Glob patterns of paths that are never searched, such as node_modules/**."
        }
      },
      "additionalProperties": false
    }$json$
  ),
  (
    'run_command', 'Run command',
    'Runs a program in the sandbox, without a shell in between. Answers with its exit code and output.',
    'shell', '{shell,execute}', true, null,
    $json${
      "type": "object",
      "properties": {
        "command": {
          "type": "array",
          "items": {"type": "string", "maxLength": 8192},
          "minItems": 1,
          "maxItems": 256,
          "description": "The program and its arguments, each as one element."
        },
        "directory": {"type": "string", "minLength": 1, "maxLength": 4096, "default": ".", "description": "Where to run it, relative to the workspace."},
        "timeoutSeconds": {"type": "integer", "minimum": 1, "maximum": 3600, "default": 120, "description": "When to stop it."}
      },
      "required": ["command"],
      "additionalProperties": false
    }$json$,
    $json${
      "type": "object",
      "properties": {
        "maxTimeoutSeconds": {"type": "integer", "minimum": 1, "maximum": 3600, "description": "The longest that a command may run, whatever the call asks for."},
        "deniedPrograms": {
          "type": "array",
          "items": {"type": "string", "minLength": 1, "maxLength": 255},
          "maxItems": 100,
          "uniqueItems": true,
          "description": "Programs that are never run, such as sudo."
        }
      },
      "additionalProperties": false
    }$json$
  ),
  (
    'fetch_url', 'Fetch URL',
    'Fetches a public web page or file by GET. Answers with status, content type and text.',
    'web', '{web,http,read}', false, null,
    $json${
      "type": "object",
      "properties": {
        "url": {"type": "string", "pattern": "^https?://", "maxLength": 2048},
        "maxBytes": {"type": "integer", "minimum": 1, "maximum": 1048576, "default": 262144, "description": "Where to cut the answer."}
      },
      "required": ["url"],
      "additionalProperties": false
    }$json$,
    $json${
      "type": "object",
      "properties": {
        "allowedHosts": {
          "type": "array",
          "items": {"type": "string", "pattern": "^[a-z0-9.-]+$", "maxLength": 253},
          "maxItems": 100,
          "uniqueItems": true,
          "description": "The only hosts that may be asked; all public ones by default."
        }
      },
      "additionalProperties": false
    }$json$
  );

-- migrate:down

delete from app.tools
where slug in (
  'read_file', 'write_file', 'edit_file', 'list_directory', 'search_files', 'run_command', 'fetch_url'
);

package module

// OptionDocs are the references of [Options], which every step takes.
func OptionDocs() []ArgDoc {
	return []ArgDoc{
		{Name: "title", Type: "string", Text: "Shown instead of the module's name."},
		{Name: "notify", Type: "string or list of string", Text: "Handlers that are run at the end of the phase when the step changed something."},
		{Name: "sudo", Type: "boolean", Text: "Whether the step is done as root. Without it as the site says of the host."},
		{Name: "timeout", Type: "duration", Text: "How long the step may take. Without it, as long as it takes."},
		{Name: "retries", Type: "integer", Text: "How many more times it is tried after a failure."},
		{Name: "delay", Type: "duration", Text: "Time between two tries."},
		{Name: "ignore_errors", Type: "boolean", Text: "Whether the task goes on after a failure. The result then has failed = true and the error."},
	}
}
